mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
}

variables {
  name        = "lake"
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/0f0f0f0f-0000-4000-8000-000000000000"
}

run "tables_inside_landing_are_refused" {
  command = plan
  variables {
    table_prefix   = "landing/tables/"
    landing_prefix = "landing/"
  }
  expect_failures = [var.landing_prefix]
}

run "landing_inside_tables_is_refused" {
  command = plan
  variables {
    table_prefix   = "lake/"
    landing_prefix = "lake/landing/"
  }
  expect_failures = [var.landing_prefix]
}

run "the_whole_bucket_is_no_landing_prefix" {
  command = plan
  variables {
    landing_prefix = ""
  }
  expect_failures = [var.landing_prefix]
}

run "a_prefix_without_its_slash_is_refused" {
  command = plan
  variables {
    table_prefix = "tables"
  }
  expect_failures = [var.table_prefix]
}

run "deletion_soon_after_glacier_is_refused" {
  command = plan
  variables {
    landing_glacier_after_days = 90
    landing_delete_after_days  = 100
  }
  expect_failures = [var.landing_delete_after_days]
}

run "a_day_for_second_thoughts_is_too_few" {
  command = plan
  variables {
    noncurrent_days = 1
  }
  expect_failures = [var.noncurrent_days]
}

run "an_alias_is_no_key_arn" {
  command = plan
  variables {
    kms_key_arn = "alias/lake-data"
  }
  expect_failures = [var.kms_key_arn]
}

run "a_layer_called_results_is_refused" {
  command = plan
  variables {
    layers = { results = {} }
  }
  expect_failures = [var.layers]
}

run "a_lake_without_layers_is_refused" {
  command = plan
  variables {
    layers = {}
  }
  expect_failures = [var.layers]
}

run "results_that_expire_at_once_are_refused" {
  command = plan
  variables {
    query_results = { expire_after_days = 0 }
  }
  expect_failures = [var.query_results]
}

run "a_name_with_underscores_is_refused" {
  command = plan
  variables {
    name = "my_lake"
  }
  expect_failures = [var.name]
}
