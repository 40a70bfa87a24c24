output "address" {
  description = "The public address of whichever node is Active."
  value       = hcloud_floating_ip.web.ip_address
}

output "nodes" {
  description = "The servers' own public addresses."
  value       = { for name, node in hcloud_server.node : name => node.ipv4_address }
}
