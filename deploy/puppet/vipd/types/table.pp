# @summary A table of the configuration.
type Vipd::Table = Hash[String[1], Vipd::Value]
