# @summary A node of a vipd cluster.
#
# @param configuration
#   The configuration, the same on every node.
# @param keys
#   Keys for `[auth]`: what `vipd keygen` prints, by the name of the file in `keys/` of the directory. The file of a key that is no
#   longer listed stays.
# @param secrets
#   Tokens and passwords, likewise in `secrets/`.
# @param directory
#   Where the configuration is, `vipd.toml`.
# @param program
#   The program.
# @param manage_package
#   Whether the package is installed, or something else does that.
# @param package_ensure
#   Which version. An upgrade needs nothing more: the package lets the running agent become the new program, with no change of roles.
# @param service_ensure
#   Whether the agent runs.
# @param service_enable
#   Whether it is started when the node boots.
class vipd (
  Vipd::Configuration $configuration,
  Sensitive[Vipd::Files] $keys = Sensitive({}),
  Sensitive[Vipd::Files] $secrets = Sensitive({}),
  Pattern[/\A\//] $directory = '/etc/vipd',
  Pattern[/\A\//] $program = '/usr/bin/vipd',
  Boolean $manage_package = true,
  String[1] $package_ensure = 'installed',
  Enum['running', 'stopped'] $service_ensure = 'running',
  Boolean $service_enable = true,
) {
  contain vipd::install
  contain vipd::config
  contain vipd::service

  Class['vipd::install'] -> Class['vipd::config'] ~> Class['vipd::service']
}
