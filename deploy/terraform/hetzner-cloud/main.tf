locals {
  # As in vipd.toml. The names of servers are those of nodes.
  nodes = {
    n1 = "10.0.1.11"
    n2 = "10.0.1.12"
    n3 = "10.0.1.13"
  }

  # One file for all nodes, with what is known only now in place of what stands there.
  configuration = replace(
    replace(file("${path.module}/vipd.toml"), "203.0.113.9", hcloud_floating_ip.web.ip_address),
    "enp7s0", var.private_interface
  )

  cloud_init = {
    package_update = true
    packages       = ["chrony", "curl", "nftables"]
    write_files = [
      { path = "/etc/vipd/vipd.toml", content = local.configuration },
      { path = "/etc/vipd/keys/1", content = "${var.key}\n", permissions = "0600" },
      { path = "/etc/vipd/secrets/hcloud", content = "${var.token}\n", permissions = "0600" },
      # User data has key and token, and the metadata service gives it to whoever asks: only root may.
      { path = "/etc/nftables.conf", content = file("${path.module}/nftables.conf"), permissions = "0755" },
    ]
    runcmd = [
      ["systemctl", "enable", "--now", "nftables"],
      ["curl", "--fail", "--silent", "--show-error", "--location", "--output", "/var/tmp/vipd.deb", var.package_url],
      ["sh", "-c", "echo '${var.package_sha256}  /var/tmp/vipd.deb' | sha256sum --check && apt-get install --yes /var/tmp/vipd.deb"],
    ]
  }
}

# On three different hosts: the failure of one is what all this is for.
resource "hcloud_placement_group" "web" {
  name = "web"
  type = "spread"
}

# Routed by Hetzner: no multicast, no broadcast, and gratuitous ARP tells nobody anything.
resource "hcloud_network" "private" {
  name     = "private"
  ip_range = "10.0.0.0/16"
}

resource "hcloud_network_subnet" "nodes" {
  network_id   = hcloud_network.private.id
  type         = "cloud"
  network_zone = var.network_zone
  ip_range     = "10.0.1.0/24"
}

# Firewalls of Hetzner Cloud know neither VRRP nor private networks: this one is for the public side, and adverts pass it by.
resource "hcloud_firewall" "web" {
  name = "web"

  rule {
    direction  = "in"
    protocol   = "icmp"
    source_ips = ["0.0.0.0/0", "::/0"]
  }

  dynamic "rule" {
    for_each = ["22", "80", "443"]
    content {
      direction  = "in"
      protocol   = "tcp"
      port       = rule.value
      source_ips = ["0.0.0.0/0", "::/0"]
    }
  }
}

# The public address, which vipd has routed to the Active node.
resource "hcloud_floating_ip" "web" {
  name          = "web"
  type          = "ipv4"
  home_location = var.location

  lifecycle {
    ignore_changes = [server_id]
  }
}

resource "hcloud_server" "node" {
  for_each = local.nodes

  name               = each.key
  image              = "debian-12"
  server_type        = var.server_type
  location           = var.location
  placement_group_id = hcloud_placement_group.web.id
  firewall_ids       = [hcloud_firewall.web.id]
  ssh_keys           = var.ssh_keys
  user_data          = "#cloud-config\n${yamlencode(local.cloud_init)}"

  network {
    network_id = hcloud_network.private.id
    ip         = each.value
    alias_ips  = []
  }

  # The alias IP is where vipd has it. What a server was made from is read at its first boot only.
  lifecycle {
    ignore_changes = [network, user_data]
  }

  depends_on = [hcloud_network_subnet.nodes]
}
