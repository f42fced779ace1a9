locals {
  # What the trail's events are counted for: filter, how many in five minutes are still well, and what
  # to do about it.
  counted = {
    denied = {
      pattern = "{ ($.errorCode = \"AccessDenied*\") || ($.errorCode = \"*UnauthorizedOperation\") }"
      max     = var.denied_calls_max
      advice  = "Many calls are denied: a role lacks a right, or somebody tries doors. See errorCode AccessDenied in the log group."
    }
    keys = {
      pattern = "{ ($.eventSource = \"kms.amazonaws.com\") && (($.eventName = \"DisableKey\") || ($.eventName = \"ScheduleKeyDeletion\") || ($.eventName = \"DisableKeyRotation\")) }"
      max     = 0
      advice  = "A key is disabled or to be deleted: without it no file can be read. Cancel with kms cancel-key-deletion and enable-key."
    }
    trail = {
      pattern = "{ ($.eventSource = \"cloudtrail.amazonaws.com\") && (($.eventName = \"StopLogging\") || ($.eventName = \"DeleteTrail\") || ($.eventName = \"UpdateTrail\") || ($.eventName = \"PutEventSelectors\")) }"
      max     = 0
      advice  = "The audit trail was stopped or changed."
    }
    buckets = {
      pattern = "{ ($.eventSource = \"s3.amazonaws.com\") && (($.eventName = \"PutBucketPolicy\") || ($.eventName = \"DeleteBucketPolicy\") || ($.eventName = \"PutBucketVersioning\") || ($.eventName = \"PutBucketLifecycle\") || ($.eventName = \"DeleteBucketLifecycle\") || ($.eventName = \"PutBucketPublicAccessBlock\") || ($.eventName = \"DeleteBucketPublicAccessBlock\") || ($.eventName = \"PutBucketEncryption\") || ($.eventName = \"DeleteBucketEncryption\")) }"
      max     = 0
      advice  = "The protection of a bucket was changed. An apply of this module may be the cause; a lifecycle rule on tables destroys them."
    }
    permissions = {
      pattern = "{ ($.eventSource = \"lakeformation.amazonaws.com\") && (($.eventName = \"PutDataLakeSettings\") || ($.eventName = \"GrantPermissions\") || ($.eventName = \"RevokePermissions\") || ($.eventName = \"BatchGrantPermissions\") || ($.eventName = \"BatchRevokePermissions\") || ($.eventName = \"DeregisterResource\") || ($.eventName = \"DeleteDataCellsFilter\") || ($.eventName = \"UpdateDataCellsFilter\")) }"
      max     = 0
      advice  = "Permissions of Lake Formation were changed. An apply may be the cause."
    }
    tables = {
      pattern = "{ ($.eventSource = \"glue.amazonaws.com\") && (($.eventName = \"DeleteTable\") || ($.eventName = \"BatchDeleteTable\") || ($.eventName = \"DeleteDatabase\") || ($.eventName = \"PutResourcePolicy\")) }"
      max     = 0
      advice  = "A table or database was dropped, or the catalog opened to others. Files of a dropped table can be had back for noncurrent_days."
    }
    throttled = {
      pattern = "{ ($.eventSource = \"glue.amazonaws.com\") && ($.errorCode = \"ThrottlingException\") }"
      max     = 100
      advice  = "Glue throttles: commits and table loads wait. Fewer and larger commits, or a higher quota."
    }
  }

  topic_policy = {
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AlarmsAndBudgets"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] }
        Action    = "SNS:Publish"
        Resource  = "arn:${local.partition}:sns:${local.region}:${local.account}:${var.name}-alarms"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
      {
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "SNS:Publish"
        Resource  = "arn:${local.partition}:sns:${local.region}:${local.account}:${var.name}-alarms"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  }
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.audit_key_arn
  tags              = var.tags
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = jsonencode(local.topic_policy)
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.emails

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = var.alarms ? local.counted : {}

  name           = "${var.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.audit.name
  pattern        = each.value.pattern

  metric_transformation {
    namespace     = "Lakehouse/${var.name}"
    name          = each.key
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "trail" {
  for_each = var.alarms ? local.counted : {}

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.advice
  namespace           = "Lakehouse/${var.name}"
  metric_name         = each.key
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.max
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  tags                = var.tags

  depends_on = [aws_cloudwatch_log_metric_filter.this]
}

# S3 counts requests only where asked.
resource "aws_s3_bucket_metric" "this" {
  for_each = var.request_metrics ? var.buckets : {}

  bucket = each.value.bucket
  name   = "all"
}

resource "aws_cloudwatch_metric_alarm" "server_errors" {
  for_each = var.alarms && var.request_metrics ? var.buckets : {}

  alarm_name          = "${var.name}-${each.key}-server-errors"
  alarm_description   = "S3 answers 5xx on ${each.value.bucket}: mostly 503 Slow Down, too many requests on one prefix."
  namespace           = "AWS/S3"
  metric_name         = "5xxErrors"
  dimensions          = { BucketName = each.value.bucket, FilterId = "all" }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = 50
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  tags                = var.tags

  depends_on = [aws_s3_bucket_metric.this]
}
