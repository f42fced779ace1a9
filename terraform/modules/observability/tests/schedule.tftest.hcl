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
  buckets       = { bronze = { bucket = "lake-bronze", arn = "arn:aws:s3:::lake-bronze" } }
}

run "an_ecs_task_runs_maintenance" {
  variables {
    maintenance = {
      input = "{\"containerOverrides\":[{\"name\":\"lake\",\"command\":[\"maintain\"]}]}"
      ecs = {
        cluster_arn         = "arn:aws:ecs:eu-central-1:111122223333:cluster/jobs"
        task_definition_arn = "arn:aws:ecs:eu-central-1:111122223333:task-definition/maintain"
        subnet_ids          = ["subnet-1"]
        passed_role_arns    = ["arn:aws:iam::111122223333:role/lakehouse/lake-maintenance"]
      }
    }
  }
  assert {
    condition = (
      aws_scheduler_schedule.this["maintenance"].target[0].arn == var.maintenance.ecs.cluster_arn &&
      aws_scheduler_schedule.this["maintenance"].target[0].ecs_parameters[0].task_definition_arn == var.maintenance.ecs.task_definition_arn &&
      aws_scheduler_schedule.this["maintenance"].target[0].ecs_parameters[0].network_configuration[0].assign_public_ip == false &&
      aws_scheduler_schedule.this["maintenance"].schedule_expression == "cron(0 3 * * ? *)"
    )
    error_message = "The task starts each night, without a public address."
  }
  assert {
    condition     = aws_scheduler_schedule.this["maintenance"].target[0].dead_letter_config[0].arn == "arn:aws:sqs:eu-central-1:111122223333:lake-maintenance-failures"
    error_message = "A start that fails for good leaves a message."
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.scheduler["maintenance"].policy).Statement : "${statement.Action[0]} ${statement.Resource[0]}"] == [
      "ecs:RunTask arn:aws:ecs:eu-central-1:111122223333:task-definition/maintain:*",
      "iam:PassRole arn:aws:iam::111122223333:role/lakehouse/lake-maintenance",
      "sqs:SendMessage arn:aws:sqs:eu-central-1:111122223333:lake-maintenance-failures",
    ]
    error_message = "The schedule may start this task, pass its roles and tell failures."
  }
  assert {
    condition = (
      jsondecode(aws_iam_role_policy.scheduler["maintenance"].policy).Statement[0].Condition.ArnEquals["ecs:cluster"] == var.maintenance.ecs.cluster_arn &&
      jsondecode(aws_iam_role_policy.scheduler["maintenance"].policy).Statement[1].Condition.StringEquals["iam:PassedToService"] == "ecs-tasks.amazonaws.com"
    )
    error_message = "In this cluster, to ECS only."
  }
  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.failed["maintenance"].event_pattern).detail.clusterArn == ["arn:aws:ecs:eu-central-1:111122223333:cluster/jobs"]
    error_message = "A task that ends with an error is noticed."
  }
  assert {
    condition     = aws_sqs_queue.failures["maintenance"].sqs_managed_sse_enabled && length(aws_cloudwatch_metric_alarm.maintenance) == 1
    error_message = "Failures are kept encrypted and raise an alarm."
  }
}

run "a_state_machine_runs_maintenance" {
  variables {
    maintenance = {
      expression        = "rate(6 hours)"
      window_minutes    = 0
      state_machine_arn = "arn:aws:states:eu-central-1:111122223333:stateMachine:maintain"
    }
  }
  assert {
    condition = (
      aws_scheduler_schedule.this["maintenance"].target[0].arn == var.maintenance.state_machine_arn &&
      length(aws_scheduler_schedule.this["maintenance"].target[0].ecs_parameters) == 0 &&
      aws_scheduler_schedule.this["maintenance"].flexible_time_window[0].mode == "OFF"
    )
    error_message = "The state machine is started on time."
  }
  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.scheduler["maintenance"].policy).Statement : statement.Action[0]] == ["states:StartExecution", "sqs:SendMessage"]
    error_message = "The schedule may start it and tell failures."
  }
}

run "a_revision_binds_the_right_to_it" {
  variables {
    maintenance = {
      ecs = {
        cluster_arn         = "arn:aws:ecs:eu-central-1:111122223333:cluster/jobs"
        task_definition_arn = "arn:aws:ecs:eu-central-1:111122223333:task-definition/maintain:7"
        subnet_ids          = ["subnet-1"]
        passed_role_arns    = ["arn:aws:iam::111122223333:role/lakehouse/lake-maintenance"]
      }
    }
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.scheduler["maintenance"].policy).Statement[0].Resource == ["arn:aws:ecs:eu-central-1:111122223333:task-definition/maintain:7"]
    error_message = "No other revision may run."
  }
}

run "a_schedule_of_nothing_is_refused" {
  command = plan
  variables {
    maintenance = {}
  }
  expect_failures = [var.maintenance]
}

run "two_targets_are_refused" {
  command = plan
  variables {
    maintenance = {
      state_machine_arn = "arn:aws:states:eu-central-1:111122223333:stateMachine:maintain"
      ecs = {
        cluster_arn         = "arn:aws:ecs:eu-central-1:111122223333:cluster/jobs"
        task_definition_arn = "arn:aws:ecs:eu-central-1:111122223333:task-definition/maintain:7"
        subnet_ids          = ["subnet-1"]
        passed_role_arns    = ["arn:aws:iam::111122223333:role/lakehouse/lake-maintenance"]
      }
    }
  }
  expect_failures = [var.maintenance]
}

run "a_cron_line_of_unix_is_refused" {
  command = plan
  variables {
    maintenance = { expression = "0 3 * * *", state_machine_arn = "arn:aws:states:eu-central-1:111122223333:stateMachine:maintain" }
  }
  expect_failures = [var.maintenance]
}

run "passing_any_role_is_refused" {
  command = plan
  variables {
    maintenance = {
      ecs = {
        cluster_arn         = "arn:aws:ecs:eu-central-1:111122223333:cluster/jobs"
        task_definition_arn = "arn:aws:ecs:eu-central-1:111122223333:task-definition/maintain:7"
        subnet_ids          = ["subnet-1"]
        passed_role_arns    = ["*"]
      }
    }
  }
  expect_failures = [var.maintenance]
}

run "a_lock_longer_than_the_retention_is_refused" {
  command = plan
  variables {
    object_lock = { mode = "GOVERNANCE", days = 4000 }
  }
  expect_failures = [var.object_lock]
}

run "an_unknown_retention_is_refused" {
  command = plan
  variables {
    log_retention_days = 100
  }
  expect_failures = [var.log_retention_days]
}

run "a_budget_of_nothing_is_refused" {
  command = plan
  variables {
    monthly_budget_usd = 0
  }
  expect_failures = [var.monthly_budget_usd]
}

run "half_of_the_events_is_refused" {
  command = plan
  variables {
    data_events = "some"
  }
  expect_failures = [var.data_events]
}
