# @summary The agent. A change of the configuration, or of a key, has it reload, which touches no virtual router that stays the same.
#
# @api private
class vipd::service {
  service { 'vipd':
    ensure  => $vipd::service_ensure,
    enable  => $vipd::service_enable,
    restart => "${vipd::program} reload",
  }
}
