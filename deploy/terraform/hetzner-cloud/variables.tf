variable "ssh_keys" {
  description = "Names of the SSH keys in the project that may log in as root."
  type        = list(string)
}

variable "package_url" {
  description = "Where the servers fetch the Debian package of vipd, which `cargo xtask dist deb` makes."
  type        = string
}

variable "package_sha256" {
  description = "SHA-256 of that package, in hexadecimal."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.package_sha256))
    error_message = "A SHA-256 has 64 hexadecimal digits."
  }
}

variable "key" {
  description = "What `vipd keygen` prints: the key that adverts are signed with."
  type        = string
  sensitive   = true
}

variable "token" {
  description = "A token of the project that may read and write: the servers ask for their addresses with it."
  type        = string
  sensitive   = true
}

variable "location" {
  description = "Where the servers are. The network zone below must contain it."
  type        = string
  default     = "fsn1"
}

variable "network_zone" {
  description = "The zone of the private network."
  type        = string
  default     = "eu-central"
}

variable "server_type" {
  description = "What each server is."
  type        = string
  default     = "cx23"
}

variable "private_interface" {
  description = "What Linux calls the interface of the private network: enp7s0 or ens10, by server type."
  type        = string
  default     = "enp7s0"
}
