output "databases" {
  description = "The databases: name, arn, location."
  value = {
    for name, database in aws_glue_catalog_database.this : name => {
      name     = database.name
      arn      = database.arn
      location = var.databases[name].location
    }
  }
}

output "catalog_id" {
  description = "The account whose catalog it is."
  value       = data.aws_caller_identity.current.account_id
}

output "athena_workgroup" {
  description = "The workgroup: name, arn, where results go; null without one."
  value = var.athena == null ? null : {
    name             = aws_athena_workgroup.this[0].name
    arn              = aws_athena_workgroup.this[0].arn
    results_location = var.athena.results_location
  }
}

output "athena_result_reuse" {
  description = "What start-query-execution takes as --result-reuse-configuration. Athena has no such setting of a workgroup: each query asks for it."
  value = var.athena == null ? null : jsonencode({
    ResultReuseByAgeConfiguration = merge(
      { Enabled = var.athena.reuse_results_minutes > 0 },
      var.athena.reuse_results_minutes > 0 ? { MaxAgeInMinutes = var.athena.reuse_results_minutes } : {},
    )
  })
}

output "settings_json" {
  description = "The library's settings file: terraform output -raw settings_json > lake.json"
  value       = jsonencode(local.settings)
}

output "settings_toml" {
  description = "The same settings as TOML: terraform output -raw settings_toml > lake.toml"
  value       = local.settings_toml
}
