# Databases only. Tables are made and changed by the engines: a table under Terraform is set back to
# an old metadata file by the next apply, and every commit since is gone.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

resource "terraform_data" "before" {
  input = var.after
}

resource "aws_glue_catalog_database" "this" {
  for_each = var.databases

  name        = each.key
  description = each.value.description
  # Glue and the engines write the location without the last slash.
  location_uri = trimsuffix(each.value.location, "/")
  tags         = var.tags

  depends_on = [terraform_data.before]
}

resource "aws_glue_data_catalog_encryption_settings" "this" {
  count = var.encryption == null ? 0 : 1

  data_catalog_encryption_settings {
    encryption_at_rest {
      catalog_encryption_mode = "SSE-KMS"
      sse_aws_kms_key_id      = var.encryption.kms_key_arn
    }
    connection_password_encryption {
      return_connection_password_encrypted = true
      aws_kms_key_id                       = var.encryption.kms_key_arn
    }
  }
}

resource "aws_athena_workgroup" "this" {
  count = var.athena == null ? 0 : 1

  name          = var.name
  description   = "Queries on the lake ${var.name}"
  force_destroy = var.athena.force_destroy

  configuration {
    # Otherwise each client may say where results go, and unencrypted.
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.athena.scanned_bytes_max

    # Iceberg's MERGE, time travel and the reuse of results came with this version.
    engine_version {
      selected_engine_version = "Athena engine version 3"
    }

    result_configuration {
      output_location = var.athena.results_location
      encryption_configuration {
        encryption_option = "SSE_KMS"
        kms_key_arn       = var.athena.kms_key_arn
      }
    }
  }

  tags = var.tags
}
