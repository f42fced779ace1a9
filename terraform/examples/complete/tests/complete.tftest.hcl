# Everything on, also what no emulator knows, with a mocked provider.

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
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:111122223333:key/0f0f0f0f-0000-4000-8000-000000000000" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/lakehouse/made" }
  }
  mock_resource "aws_athena_workgroup" {
    defaults = { arn = "arn:aws:athena:eu-central-1:111122223333:workgroup/lake" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:111122223333:lake-alarms" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:111122223333:lake-maintenance-failures" }
  }
}

variables {
  trusted = {
    engine = { principals = ["arn:aws:iam::111122223333:role/app"] }
    reader = { principals = ["arn:aws:iam::111122223333:role/analysts"] }
  }
  admins = ["arn:aws:iam::111122223333:role/deploy"]
  data_filters = {
    europe = {
      database       = "gold"
      table          = "orders"
      row_filter     = "region IN ('eu', 'uk')"
      hidden_columns = ["email"]
      roles          = ["reader"]
    }
  }
  maintenance = { state_machine_arn = "arn:aws:states:eu-central-1:111122223333:stateMachine:maintain" }
}

run "everything_fits_together" {
  assert {
    condition = jsondecode(output.settings_json) == {
      default_catalog = "glue_catalog"
      catalogs = {
        glue_catalog = {
          type      = "glue"
          region    = "eu-central-1"
          warehouse = "s3://lake-bronze-111122223333-eu-central-1/tables/"
          kms_key   = "arn:aws:kms:eu-central-1:111122223333:key/0f0f0f0f-0000-4000-8000-000000000000"
        }
      }
    }
    error_message = "The settings file names the catalog, its place and its key."
  }
  assert {
    condition     = toset(keys(output.role_arns)) == toset(["engine", "reader"])
    error_message = "A role for each that is trusted."
  }
  assert {
    condition     = output.athena_workgroup.results_location == "s3://lake-results-111122223333-eu-central-1/athena/"
    error_message = "Results go to a bucket of their own."
  }
}

run "without_features_the_lake_still_stands" {
  variables {
    features = {
      lake_formation = false, tag_grants = false, data_cell_filters = false, glue_catalog_encryption = false
      athena         = false, budget = false, alarms = false, request_metrics = false
    }
    admins       = []
    data_filters = {}
    maintenance  = null
  }
  assert {
    condition     = output.athena_workgroup == null && length(output.layers) == 3
    error_message = "Buckets and databases stay."
  }
}

run "lake_formation_without_admins_is_refused" {
  command = plan
  variables {
    admins = []
  }
  expect_failures = [var.admins]
}

run "a_filter_for_a_role_nobody_has_is_refused" {
  command = plan
  variables {
    data_filters = { a = { database = "gold", table = "orders", roles = ["maintenance"] } }
  }
  expect_failures = [var.data_filters]
}
