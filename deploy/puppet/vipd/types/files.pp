# @summary Names of files and what is in them, a line each.
type Vipd::Files = Hash[Pattern[/\A[A-Za-z0-9_][A-Za-z0-9_.-]*\z/], String[1]]
