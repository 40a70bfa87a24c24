# @summary The package. It notifies nothing: by its own doing an agent that runs becomes the new program.
#
# @api private
class vipd::install {
  if $vipd::manage_package {
    package { 'vipd':
      ensure => $vipd::package_ensure,
    }
  }
}
