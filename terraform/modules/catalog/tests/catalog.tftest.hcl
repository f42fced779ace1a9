mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
}

variables {
  name = "lake"
  databases = {
    bronze = { location = "s3://lake-bronze/tables/bronze/" }
    silver = { location = "s3://lake-silver/tables/silver/", description = "Cleaned" }
  }
}

run "databases_have_locations_and_nothing_else_is_made_unasked" {
  assert {
    condition     = { for name, database in aws_glue_catalog_database.this : name => database.location_uri } == { bronze = "s3://lake-bronze/tables/bronze", silver = "s3://lake-silver/tables/silver" }
    error_message = "Each database has its location, without the last slash."
  }
  assert {
    condition     = length(aws_glue_data_catalog_encryption_settings.this) == 0
    error_message = "The account's encryption setting is left alone unless asked."
  }
  assert {
    condition     = length(aws_athena_workgroup.this) == 0 && output.athena_workgroup == null && output.athena_result_reuse == null
    error_message = "No workgroup unless asked."
  }
}

run "catalog_and_results_are_encrypted" {
  variables {
    encryption = { kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/c" }
    athena = {
      results_location = "s3://lake-results/athena/"
      kms_key_arn      = "arn:aws:kms:eu-central-1:111122223333:key/d"
    }
  }
  assert {
    condition = alltrue([
      for settings in aws_glue_data_catalog_encryption_settings.this[0].data_catalog_encryption_settings :
      settings.encryption_at_rest[0].catalog_encryption_mode == "SSE-KMS" &&
      settings.encryption_at_rest[0].sse_aws_kms_key_id == var.encryption.kms_key_arn &&
      settings.connection_password_encryption[0].return_connection_password_encrypted &&
      settings.connection_password_encryption[0].aws_kms_key_id == var.encryption.kms_key_arn
    ])
    error_message = "Metadata and passwords are encrypted with the given key."
  }
  assert {
    condition = alltrue([
      for configuration in aws_athena_workgroup.this[0].configuration :
      configuration.enforce_workgroup_configuration &&
      configuration.result_configuration[0].output_location == "s3://lake-results/athena/" &&
      configuration.result_configuration[0].encryption_configuration[0].encryption_option == "SSE_KMS" &&
      configuration.result_configuration[0].encryption_configuration[0].kms_key_arn == var.athena.kms_key_arn
    ])
    error_message = "No client of the workgroup can leave results unencrypted."
  }
  assert {
    condition     = aws_athena_workgroup.this[0].configuration[0].bytes_scanned_cutoff_per_query == 1099511627776
    error_message = "A query scans 1 TiB at most."
  }
  assert {
    condition     = jsondecode(output.athena_result_reuse) == { ResultReuseByAgeConfiguration = { Enabled = true, MaxAgeInMinutes = 60 } }
    error_message = "Queries may ask for results of the last hour."
  }
}

run "the_outputs_are_the_librarys_settings_file" {
  variables {
    table_kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/d"
  }
  assert {
    condition = jsondecode(output.settings_json) == {
      default_catalog = "glue_catalog"
      catalogs = {
        glue_catalog = {
          type      = "glue"
          region    = "eu-central-1"
          warehouse = "s3://lake-bronze/tables/bronze/"
          kms_key   = "arn:aws:kms:eu-central-1:111122223333:key/d"
        }
      }
    }
    error_message = "The JSON file has the keys that the library reads."
  }
  assert {
    condition     = output.settings_toml == <<-TOML
      default_catalog = "glue_catalog"

      [catalogs.glue_catalog]
      kms_key = "arn:aws:kms:eu-central-1:111122223333:key/d"
      region = "eu-central-1"
      type = "glue"
      warehouse = "s3://lake-bronze/tables/bronze/"
    TOML
    error_message = "The TOML file says the same."
  }
}

run "settings_name_no_key_that_was_not_given" {
  variables {
    sql_name  = "lake"
    warehouse = "s3://lake-gold/tables/"
  }
  assert {
    condition     = jsondecode(output.settings_json).catalogs.lake == { type = "glue", region = "eu-central-1", warehouse = "s3://lake-gold/tables/" }
    error_message = "A key that is null is left out; the library refuses what it does not know."
  }
}

run "a_name_that_glue_would_fold_is_refused" {
  command = plan
  variables {
    databases = { Silver = { location = "s3://lake-silver/tables/" } }
  }
  expect_failures = [var.databases]
}

run "two_databases_in_one_folder_are_refused" {
  command = plan
  variables {
    databases = {
      a = { location = "s3://lake-silver/tables/" }
      b = { location = "s3://lake-silver/tables/b/" }
    }
  }
  expect_failures = [var.databases]
}

run "a_location_that_is_no_folder_is_refused" {
  command = plan
  variables {
    databases = { silver = { location = "s3://lake-silver" } }
  }
  expect_failures = [var.databases]
}

run "results_among_tables_are_refused" {
  command = plan
  variables {
    athena = {
      results_location = "s3://lake-silver/tables/silver/results/"
      kms_key_arn      = "arn:aws:kms:eu-central-1:111122223333:key/d"
    }
  }
  expect_failures = [var.athena]
}

run "a_sql_name_that_needs_quotes_is_refused" {
  command = plan
  variables {
    sql_name = "Glue-Catalog"
  }
  expect_failures = [var.sql_name]
}

run "an_alias_is_no_key" {
  command = plan
  variables {
    encryption = { kms_key_arn = "alias/lake-catalog" }
  }
  expect_failures = [var.encryption]
}
