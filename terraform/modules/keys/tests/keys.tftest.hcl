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
}

variables {
  name = "lake"
}

run "every_key_rotates" {
  assert {
    condition     = toset(keys(aws_kms_key.this)) == toset(["data", "catalog", "audit"])
    error_message = "One key each for data, catalog and audit."
  }
  assert {
    condition     = alltrue([for key in aws_kms_key.this : key.enable_key_rotation && key.rotation_period_in_days == 365])
    error_message = "Every key must rotate each year."
  }
  assert {
    condition     = alltrue([for key in aws_kms_key.this : key.deletion_window_in_days == 30])
    error_message = "A key must not go before 30 days are over."
  }
  assert {
    condition     = toset([for alias in aws_kms_alias.this : alias.name]) == toset(["alias/lake-data", "alias/lake-catalog", "alias/lake-audit"])
    error_message = "Aliases carry the lake's name."
  }
}

run "policies_admit_the_account_and_named_services_only" {
  assert {
    condition = alltrue(flatten([
      for key in aws_kms_key.this : [
        for statement in jsondecode(key.policy).Statement :
        statement.Principal != "*" && try(statement.Principal.AWS, "") != "*"
      ]
    ]))
    error_message = "No key is open to everybody."
  }
  assert {
    condition = alltrue(flatten([
      for key in aws_kms_key.this : [
        for statement in jsondecode(key.policy).Statement :
        statement.Action != "kms:*" || statement.Principal == { AWS = "arn:aws:iam::111122223333:root" }
      ]
    ]))
    error_message = "Only the account itself may do everything with a key."
  }
  assert {
    condition = alltrue(flatten([
      for key in aws_kms_key.this : [
        for statement in jsondecode(key.policy).Statement :
        can(statement.Condition) if can(statement.Principal.Service)
      ]
    ]))
    error_message = "A service may use a key on behalf of this account only (confused deputy)."
  }
  assert {
    condition = alltrue([
      for purpose in ["data", "catalog"] : length(jsondecode(aws_kms_key.this[purpose].policy).Statement) == 1
    ])
    error_message = "No service has a right on the keys of data and catalog."
  }
}

run "a_rotation_of_ten_days_is_refused" {
  command = plan
  variables {
    rotation_period_days = 10
  }
  expect_failures = [var.rotation_period_days]
}

run "a_deletion_at_once_is_refused" {
  command = plan
  variables {
    deletion_window_days = 1
  }
  expect_failures = [var.deletion_window_days]
}

run "a_name_with_capitals_is_refused" {
  command = plan
  variables {
    name = "Lake_1"
  }
  expect_failures = [var.name]
}
