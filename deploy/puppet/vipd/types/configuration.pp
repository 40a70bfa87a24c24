# @summary The whole configuration: a hash for `[cluster]` and the like, an array of hashes for `[[node]]` and the like.
#
# Which tables and keys there are, and what they mean, `vipd check` knows; it looks at the file before it is put in place.
type Vipd::Configuration = Hash[Pattern[/\A[a-z][a-z0-9_]*\z/], Variant[Vipd::Table, Array[Vipd::Table, 1]], 1]
