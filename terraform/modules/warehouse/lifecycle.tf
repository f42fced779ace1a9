# Age says nothing about an Iceberg file: the oldest file of a table may be in its latest snapshot. So
# below table_prefix rules touch only what no snapshot can refer to: versions that were overwritten or
# deleted, and uploads that never became objects. Snapshots are expired, and files nobody needs
# removed, by the lake's maintenance. Raw files below landing_prefix do age.

resource "aws_s3_bucket_lifecycle_configuration" "layer" {
  #checkov:skip=CKV_AWS_300:Both rules end unfinished uploads, as the tests assert; the check does not see it in a dynamic rule
  for_each = var.layers

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    id     = "tables"
    status = "Enabled"
    filter {
      prefix = var.table_prefix
    }
    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = var.incomplete_upload_days
    }
    dynamic "expiration" {
      for_each = var.remove_lone_delete_markers ? [true] : []
      content {
        expired_object_delete_marker = true
      }
    }
  }

  dynamic "rule" {
    for_each = each.value.landing ? [true] : []
    content {
      id     = "landing"
      status = "Enabled"
      filter {
        prefix = var.landing_prefix
      }
      transition {
        days          = var.landing_glacier_after_days
        storage_class = "GLACIER"
      }
      expiration {
        days = var.landing_delete_after_days
      }
      noncurrent_version_expiration {
        noncurrent_days = var.noncurrent_days
      }
      abort_incomplete_multipart_upload {
        days_after_initiation = var.incomplete_upload_days
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "results" {
  for_each = local.results

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    id     = "results"
    status = "Enabled"
    filter {
      prefix = ""
    }
    expiration {
      days = var.query_results.expire_after_days
    }
    noncurrent_version_expiration {
      noncurrent_days = 7
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = var.incomplete_upload_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
