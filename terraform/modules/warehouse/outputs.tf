output "layers" {
  description = "Each layer's bucket (name, arn), where its tables lie (tables_uri, table_prefix) and where raw files arrive (landing_uri, landing_prefix; null without landing)."
  value = {
    for layer, settings in var.layers : layer => {
      bucket         = aws_s3_bucket.this[layer].bucket
      arn            = local.arns[layer]
      table_prefix   = var.table_prefix
      tables_uri     = "s3://${aws_s3_bucket.this[layer].bucket}/${var.table_prefix}"
      landing_prefix = settings.landing ? var.landing_prefix : null
      landing_uri    = settings.landing ? "s3://${aws_s3_bucket.this[layer].bucket}/${var.landing_prefix}" : null
    }
  }

  # Who takes a bucket from here takes it with its protection in place.
  depends_on = [
    aws_s3_bucket_ownership_controls.this,
    aws_s3_bucket_policy.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_s3_bucket_versioning.this,
  ]
}

output "results" {
  description = "The bucket of query results: bucket, arn, uri; null when there is none."
  value = var.query_results == null ? null : {
    bucket = aws_s3_bucket.this["results"].bucket
    arn    = local.arns["results"]
    uri    = "s3://${aws_s3_bucket.this["results"].bucket}/"
  }

  depends_on = [
    aws_s3_bucket_policy.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
  ]
}

output "kms_key_arn" {
  description = "The key of every object, as given."
  value       = var.kms_key_arn
}
