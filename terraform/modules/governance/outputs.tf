output "settings_applied" {
  description = "Known once Lake Formation's settings hold; for the catalog's `after`, so that no database is made open to all."
  value       = aws_lakeformation_data_lake_settings.this.id
}

output "locations" {
  description = "ARNs of the registered locations by name."
  value       = { for name, location in aws_lakeformation_resource.this : name => location.arn }
}

output "role_arn" {
  description = "The role that Lake Formation reaches the files with; null without locations."
  value       = one(aws_iam_role.lake_formation[*].arn)
}

output "tags_of_tables" {
  description = "The LF-tags and their values."
  value       = { for key, tag in aws_lakeformation_lf_tag.this : key => tag.values }
}
