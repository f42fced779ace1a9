# When maintenance runs. A start that failed for good and a task that ended with an error both leave a
# message in one queue, which raises an alarm while it holds any.

locals {
  scheduled = var.maintenance == null ? {} : { maintenance = var.maintenance }
  ecs       = var.maintenance == null ? null : var.maintenance.ecs
  machine   = var.maintenance == null ? null : var.maintenance.state_machine_arn

  queue_arn = "arn:${local.partition}:sqs:${local.region}:${local.account}:${var.name}-maintenance-failures"
  rule_arn  = "arn:${local.partition}:events:${local.region}:${local.account}:rule/${var.name}-maintenance-failed"

  # A definition without revision means the latest; the right must then name all of them.
  task_definitions = local.ecs == null ? [] : [
    can(regex(":[0-9]+$", local.ecs.task_definition_arn)) ? local.ecs.task_definition_arn : "${local.ecs.task_definition_arn}:*"
  ]

  ecs_statements = local.ecs == null ? [] : [
    {
      Sid       = "RunTask"
      Effect    = "Allow"
      Action    = ["ecs:RunTask"]
      Resource  = local.task_definitions
      Condition = { ArnEquals = { "ecs:cluster" = local.ecs.cluster_arn } }
    },
    {
      Sid       = "PassTaskRoles"
      Effect    = "Allow"
      Action    = ["iam:PassRole"]
      Resource  = sort(tolist(local.ecs.passed_role_arns))
      Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
    },
  ]
  machine_statements = local.machine == null ? [] : [
    { Sid = "StartExecution", Effect = "Allow", Action = ["states:StartExecution"], Resource = [local.machine] },
  ]
  failure_statements = [
    { Sid = "TellFailures", Effect = "Allow", Action = ["sqs:SendMessage"], Resource = [local.queue_arn] },
  ]

  # Encoded one by one, since statements differ in shape.
  scheduler_policy = "{\"Version\":\"2012-10-17\",\"Statement\":[${join(",", concat(
    [for statement in local.ecs_statements : jsonencode(statement)],
    [for statement in local.machine_statements : jsonencode(statement)],
    [for statement in local.failure_statements : jsonencode(statement)],
  ))}]}"
}

resource "aws_sqs_queue" "failures" {
  for_each = local.scheduled

  name                      = "${var.name}-maintenance-failures"
  message_retention_seconds = 1209600
  # The messages name tasks, not data. With a key of ours EventBridge would need a right on it that
  # cannot be bound to this account.
  sqs_managed_sse_enabled = true
  tags                    = var.tags
}

resource "aws_sqs_queue_policy" "failures" {
  for_each = aws_sqs_queue.failures

  queue_url = each.value.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = local.queue_arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "FailedTasks"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = local.queue_arn
        Condition = { ArnEquals = { "aws:SourceArn" = local.rule_arn } }
      },
    ]
  })
}

resource "aws_iam_role" "scheduler" {
  for_each = local.scheduled

  name                 = "${var.name}-scheduler"
  path                 = var.path
  description          = "${var.name}: how the schedule starts maintenance"
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Scheduler"
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "scheduler" {
  for_each = aws_iam_role.scheduler

  name   = "start-maintenance"
  role   = each.value.id
  policy = local.scheduler_policy
}

resource "aws_scheduler_schedule_group" "this" {
  for_each = local.scheduled

  name = var.name
  tags = var.tags
}

resource "aws_scheduler_schedule" "this" {
  #checkov:skip=CKV_AWS_297:The schedule's input names a task and holds no secret; AWS's own key encrypts it
  for_each = local.scheduled

  name                         = "${var.name}-maintenance"
  group_name                   = aws_scheduler_schedule_group.this[each.key].name
  description                  = "${var.name}: compaction, expiry, removal of orphans"
  schedule_expression          = each.value.expression
  schedule_expression_timezone = each.value.timezone

  flexible_time_window {
    mode                      = each.value.window_minutes > 0 ? "FLEXIBLE" : "OFF"
    maximum_window_in_minutes = each.value.window_minutes > 0 ? each.value.window_minutes : null
  }

  target {
    arn      = local.ecs == null ? local.machine : local.ecs.cluster_arn
    role_arn = aws_iam_role.scheduler[each.key].arn
    input    = each.value.input

    dynamic "ecs_parameters" {
      for_each = local.ecs == null ? [] : [local.ecs]
      content {
        task_definition_arn     = ecs_parameters.value.task_definition_arn
        task_count              = 1
        launch_type             = "FARGATE"
        platform_version        = ecs_parameters.value.platform_version
        enable_ecs_managed_tags = true
        propagate_tags          = "TASK_DEFINITION"
        network_configuration {
          subnets          = ecs_parameters.value.subnet_ids
          security_groups  = ecs_parameters.value.security_group_ids
          assign_public_ip = false
        }
      }
    }

    retry_policy {
      maximum_retry_attempts       = each.value.retries_max
      maximum_event_age_in_seconds = 3600
    }
    dead_letter_config {
      arn = aws_sqs_queue.failures[each.key].arn
    }
  }

  # A schedule that is made before its role may do anything fails its first start.
  depends_on = [aws_iam_role_policy.scheduler]
}

# The scheduler is content once a task has started; how it ended is said elsewhere.
resource "aws_cloudwatch_event_rule" "failed" {
  for_each = local.scheduled

  name        = "${var.name}-maintenance-failed"
  description = "${var.name}: maintenance ended with an error"
  event_pattern = local.ecs != null ? jsonencode({
    source      = ["aws.ecs"]
    detail-type = ["ECS Task State Change"]
    detail = {
      lastStatus        = ["STOPPED"]
      clusterArn        = [local.ecs.cluster_arn]
      taskDefinitionArn = [{ prefix = local.ecs.task_definition_arn }]
      "$or" = [
        { containers = { exitCode = [{ anything-but = 0 }] } },
        { stopCode = ["TaskFailedToStart"] },
      ]
    }
    }) : jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      stateMachineArn = compact([local.machine])
      status          = ["FAILED", "TIMED_OUT", "ABORTED"]
    }
  })
  tags = var.tags
}

resource "aws_cloudwatch_event_target" "failed" {
  for_each = aws_cloudwatch_event_rule.failed

  rule      = each.value.name
  target_id = "failures"
  arn       = aws_sqs_queue.failures[each.key].arn

  depends_on = [aws_sqs_queue_policy.failures]
}

resource "aws_cloudwatch_metric_alarm" "maintenance" {
  for_each = var.alarms ? local.scheduled : {}

  alarm_name          = "${var.name}-maintenance-failed"
  alarm_description   = "Maintenance did not start or ended with an error; the messages in the queue ${var.name}-maintenance-failures say which."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.failures[each.key].name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  tags                = var.tags
}
