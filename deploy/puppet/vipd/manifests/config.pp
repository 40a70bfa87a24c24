# @summary The configuration, and the files that it names.
#
# @api private
class vipd::config {
  file {
    default:
      ensure => directory,
      owner  => 'root',
      group  => 'root',
    ;
    $vipd::directory:
      mode => '0755',
    ;
    ["${vipd::directory}/keys", "${vipd::directory}/secrets"]:
      mode => '0700',
    ;
  }

  # First the files, then the configuration that names them: `vipd check` looks for them.
  $files = { 'keys' => $vipd::keys, 'secrets' => $vipd::secrets }
  $files.each |$folder, $contents| {
    $contents.unwrap.each |$name, $line| {
      file { "${vipd::directory}/${folder}/${name}":
        ensure    => file,
        owner     => 'root',
        group     => 'root',
        mode      => '0600',
        content   => Sensitive("${line}\n"),
        show_diff => false,
        before    => File["${vipd::directory}/vipd.toml"],
      }
    }
  }

  file { "${vipd::directory}/vipd.toml":
    ensure       => file,
    owner        => 'root',
    group        => 'root',
    mode         => '0600',
    content      => vipd::to_toml($vipd::configuration),
    validate_cmd => "${vipd::program} check --config %",
  }
}
