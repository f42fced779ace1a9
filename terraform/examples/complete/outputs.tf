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

output "role_arns" {
  description = "The roles to take: engine, ingestion, maintenance, reader."
  value       = module.access.role_arns
}

output "athena_workgroup" {
  description = "The workgroup of Athena; null when features.athena is off."
  value       = module.catalog.athena_workgroup
}

output "athena_result_reuse" {
  description = "What start-query-execution takes as --result-reuse-configuration."
  value       = module.catalog.athena_result_reuse
}

output "audit" {
  description = "The audit trail, its bucket and log group."
  value = {
    trail_arn = module.observability.trail_arn
    bucket    = module.observability.audit_bucket.bucket
    log_group = module.observability.log_group
  }
}
