# Who did what: a trail of all management calls and of the calls on the lake's objects, in a bucket of
# its own, with a digest chain that shows records that were changed or removed.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name

  bucket_name = "${var.name}-audit-${coalesce(var.bucket_suffix, "${local.account}-${local.region}")}"
  bucket_arn  = "arn:${local.partition}:s3:::${local.bucket_name}"
  trail_name  = "${var.name}-audit"
  trail_arn   = "arn:${local.partition}:cloudtrail:${local.region}:${local.account}:trail/${local.trail_name}"

  bucket_policy = {
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "TrailLooks"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:GetBucketAcl"
        Resource  = [local.bucket_arn]
        Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
      },
      {
        Sid       = "TrailWrites"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = ["${local.bucket_arn}/AWSLogs/${local.account}/*"]
        Condition = {
          StringEquals = {
            "aws:SourceArn" = local.trail_arn
            "s3:x-amz-acl"  = "bucket-owner-full-control"
          }
        }
      },
    ]
  }

  # Empty lists fall away.
  data_event_fields = {
    eventCategory    = { equals = ["Data"], starts_with = [] }
    "resources.type" = { equals = ["AWS::S3::Object"], starts_with = [] }
    "resources.ARN"  = { equals = [], starts_with = sort([for bucket in values(var.buckets) : "${bucket.arn}/"]) }
    readOnly         = { equals = var.data_events == "writes" ? ["false"] : [], starts_with = [] }
  }
}

resource "aws_s3_bucket" "audit" {
  #checkov:skip=CKV_AWS_144:A copy in another region is the owner's decision
  #checkov:skip=CKV2_AWS_62:Nothing listens to object events of the audit bucket
  #checkov:skip=CKV_AWS_18:Its own access log would record the deliveries of the trail; management calls on it are in the trail
  bucket              = local.bucket_name
  object_lock_enabled = var.object_lock != null
  force_destroy       = var.force_destroy
  tags                = merge(var.tags, { Name = local.bucket_name })
}

resource "aws_s3_bucket_ownership_controls" "audit" {
  bucket = aws_s3_bucket.audit.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "audit" {
  bucket                  = aws_s3_bucket.audit.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "audit" {
  bucket = aws_s3_bucket.audit.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "audit" {
  bucket = aws_s3_bucket.audit.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.audit_key_arn
    }
  }
}

resource "aws_s3_bucket_object_lock_configuration" "audit" {
  count = var.object_lock == null ? 0 : 1

  bucket = aws_s3_bucket.audit.id
  rule {
    default_retention {
      mode = var.object_lock.mode
      days = var.object_lock.days
    }
  }

  depends_on = [aws_s3_bucket_versioning.audit]
}

# Records do age: no table lies in this bucket.
resource "aws_s3_bucket_lifecycle_configuration" "audit" {
  bucket = aws_s3_bucket.audit.id

  rule {
    id     = "records"
    status = "Enabled"
    filter {
      prefix = ""
    }
    transition {
      days          = var.audit_archive_after_days
      storage_class = "GLACIER"
    }
    expiration {
      days = var.audit_retention_days
    }
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.audit]
}

resource "aws_s3_bucket_policy" "audit" {
  bucket = aws_s3_bucket.audit.id
  policy = jsonencode(local.bucket_policy)

  depends_on = [aws_s3_bucket_public_access_block.audit]
}

resource "aws_cloudwatch_log_group" "audit" {
  name              = "/lakehouse/${var.name}/audit"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.audit_key_arn
  tags              = var.tags
}

resource "aws_iam_role" "trail" {
  name                 = "${var.name}-trail"
  path                 = var.path
  description          = "${var.name}: how the trail writes to its log group"
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Trail"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "trail" {
  name = "log-group"
  role = aws_iam_role.trail.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "Streams"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${aws_cloudwatch_log_group.audit.name}:log-stream:${local.account}_CloudTrail_*"]
    }]
  })
}

resource "aws_cloudtrail" "audit" {
  #checkov:skip=CKV_AWS_252:Nobody reads a message per delivered file; alarms come from the log group
  name                          = local.trail_name
  s3_bucket_name                = aws_s3_bucket.audit.id
  kms_key_id                    = var.audit_key_arn
  enable_log_file_validation    = true
  include_global_service_events = true
  is_multi_region_trail         = var.multi_region
  cloud_watch_logs_group_arn    = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${aws_cloudwatch_log_group.audit.name}:*"
  cloud_watch_logs_role_arn     = aws_iam_role.trail.arn

  advanced_event_selector {
    name = "Management calls"
    field_selector {
      field  = "eventCategory"
      equals = ["Management"]
    }
  }
  advanced_event_selector {
    name = "Objects of the lake"
    dynamic "field_selector" {
      for_each = { for field, values in local.data_event_fields : field => values if length(values.equals) + length(values.starts_with) > 0 }
      content {
        field       = field_selector.key
        equals      = length(field_selector.value.equals) > 0 ? field_selector.value.equals : null
        starts_with = length(field_selector.value.starts_with) > 0 ? field_selector.value.starts_with : null
      }
    }
  }

  tags = var.tags

  # The trail tries both when it is made.
  depends_on = [aws_s3_bucket_policy.audit, aws_iam_role_policy.trail]
}
