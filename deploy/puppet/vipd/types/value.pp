# @summary A value of the configuration, as TOML knows it.
type Vipd::Value = Variant[String, Integer, Float, Boolean, Array[Vipd::Value], Vipd::Table]
