output "settings_toml" {
  description = "The library's settings file: terraform output -raw settings_toml > lake.toml"
  value       = module.catalog.settings_toml
}

output "settings_json" {
  description = "The same settings as JSON."
  value       = module.catalog.settings_json
}

output "layers" {
  description = "Where tables lie and raw files arrive, by layer."
  value       = module.warehouse.layers
}
