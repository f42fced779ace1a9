output "audit_bucket" {
  description = "The bucket of the trail's records: name and ARN."
  value       = { bucket = aws_s3_bucket.audit.bucket, arn = local.bucket_arn }
}

output "trail_arn" {
  description = "The audit trail; check it with: aws cloudtrail validate-logs --trail-arn <arn> --start-time <time>"
  value       = aws_cloudtrail.audit.arn
}

output "log_group" {
  description = "The log group of the trail's events."
  value       = aws_cloudwatch_log_group.audit.name
}

output "topic_arn" {
  description = "The topic that alarms and budgets are told to."
  value       = aws_sns_topic.alarms.arn
}

output "schedule_arn" {
  description = "The schedule of maintenance; null without one."
  value       = one(values(aws_scheduler_schedule.this)[*].arn)
}

output "failures_queue_url" {
  description = "The queue of failed maintenance; null without a schedule."
  value       = one(values(aws_sqs_queue.failures)[*].url)
}
