mock_provider "aws" {}

variables {
  name           = "lake"
  admins         = ["arn:aws:iam::111122223333:role/deploy"]
  data_key_arn   = "arn:aws:kms:eu-central-1:111122223333:key/d"
  tags_of_tables = { domain = ["sales"] }
}

run "a_lake_without_admins_is_refused" {
  command = plan
  variables {
    admins = []
  }
  expect_failures = [var.admins]
}

run "filtering_without_a_tag_is_refused" {
  command = plan
  variables {
    external_engines = { filtering = true }
  }
  expect_failures = [var.external_engines]
}

run "tags_without_filtering_are_refused" {
  command = plan
  variables {
    external_engines = { session_tags = ["lakehouse"] }
  }
  expect_failures = [var.external_engines]
}

run "a_whole_bucket_is_no_location" {
  command = plan
  variables {
    locations = { silver = { bucket_arn = "arn:aws:s3:::lake-silver", prefix = "" } }
  }
  expect_failures = [var.locations]
}

run "tags_in_capitals_are_refused" {
  command = plan
  variables {
    tags_of_tables = { Domain = ["Sales"] }
  }
  expect_failures = [var.tags_of_tables]
}

run "a_tag_nobody_defined_is_refused" {
  command = plan
  variables {
    database_tags = { silver = { domain = "hr" } }
  }
  expect_failures = [var.database_tags]
}

run "a_grant_by_a_tag_nobody_defined_is_refused" {
  command = plan
  variables {
    tag_grants = { a = { principal = "arn:aws:iam::111122223333:role/a", on = "TABLE", tags = { team = ["a"] }, permissions = ["SELECT"] } }
  }
  expect_failures = [var.tag_grants]
}

run "all_on_tables_is_refused" {
  command = plan
  variables {
    table_grants = { a = { principal = "arn:aws:iam::111122223333:role/a", database = "silver", permissions = ["ALL"] } }
  }
  expect_failures = [var.table_grants]
}

run "select_on_a_database_is_refused" {
  command = plan
  variables {
    database_grants = { a = { principal = "arn:aws:iam::111122223333:role/a", database = "silver", permissions = ["SELECT"] } }
  }
  expect_failures = [var.database_grants]
}

run "columns_of_an_insert_are_refused" {
  command = plan
  variables {
    table_grants = { a = { principal = "arn:aws:iam::111122223333:role/a", database = "silver", table = "t", permissions = ["INSERT"], columns = ["id"] } }
  }
  expect_failures = [var.table_grants]
}

run "a_location_nobody_registered_is_refused" {
  command = plan
  variables {
    location_grants = { a = { principal = "arn:aws:iam::111122223333:role/a", location = "silver" } }
  }
  expect_failures = [var.location_grants]
}

run "a_function_in_a_row_filter_is_refused" {
  command = plan
  variables {
    data_filters = { a = { database = "silver", table = "t", row_filter = "LOWER(region) = 'eu'", principals = { a = "arn:aws:iam::111122223333:role/a" } } }
  }
  expect_failures = [var.data_filters]
}

run "an_empty_row_filter_is_refused" {
  command = plan
  variables {
    data_filters = { a = { database = "silver", table = "t", row_filter = "", principals = { a = "arn:aws:iam::111122223333:role/a" } } }
  }
  expect_failures = [var.data_filters]
}

run "a_filter_for_nobody_is_refused" {
  command = plan
  variables {
    data_filters = { a = { database = "silver", table = "t", principals = {} } }
  }
  expect_failures = [var.data_filters]
}
