mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/lakehouse/made" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:111122223333:lake-alarms" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:111122223333:lake-maintenance-failures" }
  }
}

variables {
  name          = "lake"
  audit_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/a"
  buckets = {
    bronze = { bucket = "lake-bronze", arn = "arn:aws:s3:::lake-bronze" }
    silver = { bucket = "lake-silver", arn = "arn:aws:s3:::lake-silver" }
  }
}

run "the_trail_records_objects_and_shows_tampering" {
  assert {
    condition     = aws_cloudtrail.audit.enable_log_file_validation && aws_cloudtrail.audit.is_multi_region_trail && aws_cloudtrail.audit.kms_key_id == var.audit_key_arn
    error_message = "Records are validated, encrypted and of all regions."
  }
  assert {
    condition = [
      for selector in aws_cloudtrail.audit.advanced_event_selector : {
        for field in selector.field_selector : field.field => length(coalesce(field.starts_with, [])) > 0 ? field.starts_with : field.equals
      }
      ] == [
      { eventCategory = tolist(["Management"]) },
      { eventCategory = tolist(["Data"]), "resources.type" = tolist(["AWS::S3::Object"]), "resources.ARN" = tolist(["arn:aws:s3:::lake-bronze/", "arn:aws:s3:::lake-silver/"]) },
    ]
    error_message = "All management calls, and every call on objects of the lake, whether it reads or writes."
  }
  assert {
    condition     = aws_cloudwatch_log_group.audit.kms_key_id == var.audit_key_arn && aws_cloudwatch_log_group.audit.retention_in_days == 365
    error_message = "The log group is encrypted and keeps a year."
  }
}

run "writes_alone_can_be_recorded" {
  variables {
    data_events = "writes"
  }
  assert {
    condition     = anytrue([for field in aws_cloudtrail.audit.advanced_event_selector[1].field_selector : field.field == "readOnly" && field.equals == tolist(["false"])])
    error_message = "Reads are left out."
  }
}

run "the_audit_bucket_is_closed" {
  assert {
    condition = (
      aws_s3_bucket_public_access_block.audit.block_public_acls && aws_s3_bucket_public_access_block.audit.block_public_policy &&
      aws_s3_bucket_public_access_block.audit.ignore_public_acls && aws_s3_bucket_public_access_block.audit.restrict_public_buckets
    )
    error_message = "Public access is blocked in all four ways."
  }
  assert {
    condition     = aws_s3_bucket_versioning.audit.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.audit.force_destroy
    error_message = "Records keep their versions and outlive a destroy."
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.audit.rule).apply_server_side_encryption_by_default).kms_master_key_id == var.audit_key_arn
    error_message = "Records are encrypted with the audit key."
  }
  assert {
    condition = anytrue([
      for statement in jsondecode(aws_s3_bucket_policy.audit.policy).Statement :
      statement.Effect == "Deny" && statement.Principal == "*" && statement.Action == "s3:*" && try(statement.Condition.Bool["aws:SecureTransport"], "") == "false"
    ])
    error_message = "Requests without TLS are denied."
  }
  assert {
    condition = alltrue([
      for statement in jsondecode(aws_s3_bucket_policy.audit.policy).Statement :
      statement.Principal == { Service = "cloudtrail.amazonaws.com" } && statement.Condition.StringEquals["aws:SourceArn"] == "arn:aws:cloudtrail:eu-central-1:111122223333:trail/lake-audit"
      if statement.Effect == "Allow"
    ])
    error_message = "Only this trail may write."
  }
  assert {
    condition     = !aws_s3_bucket.audit.object_lock_enabled && length(aws_s3_bucket_object_lock_configuration.audit) == 0
    error_message = "Objects are locked when asked."
  }
}

run "records_are_locked_when_asked" {
  variables {
    object_lock = { mode = "COMPLIANCE", days = 365 }
  }
  assert {
    condition     = aws_s3_bucket.audit.object_lock_enabled && aws_s3_bucket_object_lock_configuration.audit[0].rule[0].default_retention[0].mode == "COMPLIANCE" && aws_s3_bucket_object_lock_configuration.audit[0].rule[0].default_retention[0].days == 365
    error_message = "Nobody deletes a record for a year."
  }
}

run "alarms_tell_the_topic" {
  variables {
    emails             = ["lake@example.org"]
    monthly_budget_usd = 500
    budget_tag         = { key = "lake", value = "main" }
  }
  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.trail)) == toset(["denied", "keys", "trail", "buckets", "permissions", "tables", "throttled"]) && toset(keys(aws_cloudwatch_metric_alarm.server_errors)) == toset(keys(var.buckets))
    error_message = "What the trail counts and what each bucket answers raises alarms."
  }
  assert {
    condition     = alltrue([for alarm in merge(aws_cloudwatch_metric_alarm.trail, aws_cloudwatch_metric_alarm.server_errors) : alarm.alarm_actions == toset(["arn:aws:sns:eu-central-1:111122223333:lake-alarms"]) && length(alarm.alarm_description) > 20])
    error_message = "Every alarm goes to the topic and says what it means."
  }
  assert {
    condition     = alltrue([for name, filter in aws_cloudwatch_log_metric_filter.this : filter.metric_transformation[0].name == aws_cloudwatch_metric_alarm.trail[name].metric_name && filter.metric_transformation[0].namespace == aws_cloudwatch_metric_alarm.trail[name].namespace])
    error_message = "Each alarm looks at the metric that its filter counts."
  }
  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == var.audit_key_arn && keys(aws_sns_topic_subscription.email) == ["lake@example.org"]
    error_message = "The topic is encrypted and writes to the addresses."
  }
  assert {
    condition     = toset([for notification in aws_budgets_budget.monthly[0].notification : "${notification.notification_type} ${notification.threshold}"]) == toset(["ACTUAL 80", "ACTUAL 100", "FORECASTED 100"])
    error_message = "The budget speaks before it is spent."
  }
  assert {
    condition     = one(aws_budgets_budget.monthly[0].cost_filter).values == tolist(["user:lake$main"])
    error_message = "Costs are counted by tag."
  }
}

run "nothing_is_scheduled_or_budgeted_unasked" {
  assert {
    condition     = length(aws_scheduler_schedule.this) + length(aws_sqs_queue.failures) + length(aws_iam_role.scheduler) + length(aws_budgets_budget.monthly) == 0
    error_message = "No target, no schedule; no limit, no budget."
  }
}

run "without_alarms_there_is_still_a_trail" {
  variables {
    alarms          = false
    request_metrics = false
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.trail) + length(aws_cloudwatch_metric_alarm.server_errors) + length(aws_s3_bucket_metric.this) + length(aws_cloudwatch_log_metric_filter.this) == 0
    error_message = "No alarm and nothing that is counted for one."
  }
  assert {
    condition     = aws_cloudtrail.audit.enable_log_file_validation
    error_message = "The trail does not depend on alarms."
  }
}
