output "data_key_arn" {
  description = "Key of tables, landing files and query results."
  value       = aws_kms_key.this["data"].arn
}

output "catalog_key_arn" {
  description = "Key of the Glue catalog."
  value       = aws_kms_key.this["catalog"].arn
}

output "audit_key_arn" {
  description = "Key of the audit bucket, log groups, alarm topic and dead letters."
  value       = aws_kms_key.this["audit"].arn
}

output "key_ids" {
  description = "Ids of the keys by purpose: data, catalog, audit."
  value       = { for purpose, key in aws_kms_key.this : purpose => key.key_id }
}
