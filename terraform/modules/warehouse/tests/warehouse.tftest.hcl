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
  name        = "lake"
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/0f0f0f0f-0000-4000-8000-000000000000"
}

run "no_bucket_is_public_or_unencrypted_or_without_versions" {
  assert {
    condition     = toset([for bucket in aws_s3_bucket.this : bucket.bucket]) == toset([for bucket in ["bronze", "silver", "gold", "results"] : "lake-${bucket}-111122223333-eu-central-1"])
    error_message = "There is a bucket for each layer and one for results."
  }
  assert {
    condition = keys(aws_s3_bucket_public_access_block.this) == keys(aws_s3_bucket.this) && alltrue([
      for block in aws_s3_bucket_public_access_block.this :
      block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets
    ])
    error_message = "Every bucket blocks public access in all four ways."
  }
  assert {
    condition = keys(aws_s3_bucket_versioning.this) == keys(aws_s3_bucket.this) && alltrue([
      for versioning in aws_s3_bucket_versioning.this : versioning.versioning_configuration[0].status == "Enabled"
    ])
    error_message = "Every bucket keeps versions."
  }
  assert {
    condition = keys(aws_s3_bucket_server_side_encryption_configuration.this) == keys(aws_s3_bucket.this) && alltrue(flatten([
      for encryption in aws_s3_bucket_server_side_encryption_configuration.this : [
        for rule in encryption.rule : rule.bucket_key_enabled && alltrue([
          for default in rule.apply_server_side_encryption_by_default :
          default.sse_algorithm == "aws:kms" && default.kms_master_key_id == var.kms_key_arn
        ])
      ]
    ]))
    error_message = "Every bucket encrypts with the given key and has a bucket key."
  }
  assert {
    condition = keys(aws_s3_bucket_ownership_controls.this) == keys(aws_s3_bucket.this) && alltrue([
      for controls in aws_s3_bucket_ownership_controls.this : controls.rule[0].object_ownership == "BucketOwnerEnforced"
    ])
    error_message = "No ACL counts in any bucket."
  }
  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.this : !bucket.force_destroy])
    error_message = "A bucket with objects outlives a destroy unless asked otherwise."
  }
}

run "every_bucket_refuses_plain_http_old_tls_and_other_keys" {
  assert {
    condition = keys(aws_s3_bucket_policy.this) == keys(aws_s3_bucket.this) && alltrue([
      for bucket, policy in aws_s3_bucket_policy.this : anytrue([
        for statement in jsondecode(policy.policy).Statement :
        statement.Effect == "Deny" && statement.Principal == "*" && statement.Action == "s3:*" &&
        toset(statement.Resource) == toset([local.arns[bucket], "${local.arns[bucket]}/*"]) &&
        try(statement.Condition.Bool["aws:SecureTransport"], "") == "false"
      ])
    ])
    error_message = "Every bucket policy denies all requests without TLS, on the bucket and on its objects."
  }
  assert {
    condition = alltrue([
      for policy in aws_s3_bucket_policy.this : anytrue([
        for statement in jsondecode(policy.policy).Statement :
        statement.Effect == "Deny" && try(statement.Condition.NumericLessThan["s3:TlsVersion"], "") == "1.2"
      ])
    ])
    error_message = "Every bucket policy denies TLS before 1.2."
  }
  assert {
    condition = alltrue([
      for policy in aws_s3_bucket_policy.this : anytrue([
        for statement in jsondecode(policy.policy).Statement :
        statement.Effect == "Deny" && statement.Action == "s3:PutObject" &&
        try(statement.Condition.StringNotEquals["s3:x-amz-server-side-encryption-aws-kms-key-id"], "") == var.kms_key_arn &&
        try(statement.Condition.Null["s3:x-amz-server-side-encryption-aws-kms-key-id"], "") == "false"
      ])
    ])
    error_message = "Every bucket policy denies objects of another key, and lets the default apply where none is named."
  }
  assert {
    condition = alltrue(flatten([
      for policy in aws_s3_bucket_policy.this : [
        for statement in jsondecode(policy.policy).Statement : statement.Effect == "Deny"
      ]
    ]))
    error_message = "Bucket policies only deny; rights come from roles."
  }
}

run "current_objects_of_tables_never_move_or_expire" {
  assert {
    condition     = toset(keys(aws_s3_bucket_lifecycle_configuration.layer)) == toset(["bronze", "silver", "gold"])
    error_message = "Every layer has rules."
  }
  # A rule touches tables if its prefix is within the tables' or around it; the empty one is around it.
  assert {
    condition = alltrue(flatten([
      for configuration in aws_s3_bucket_lifecycle_configuration.layer : [
        for rule in configuration.rule : length(rule.transition) == 0 && length(rule.expiration) == 0
        if startswith(rule.filter[0].prefix, var.table_prefix) || startswith(var.table_prefix, rule.filter[0].prefix)
      ]
    ]))
    error_message = "Age says nothing about reachability: no rule on Iceberg tables may move or expire current objects."
  }
  assert {
    condition = alltrue(flatten([
      for configuration in aws_s3_bucket_lifecycle_configuration.layer : [
        for rule in configuration.rule : rule.filter[0].prefix == var.table_prefix || rule.filter[0].prefix == var.landing_prefix
      ]
    ]))
    error_message = "Every rule of a layer is bound to the tables' prefix or to landing."
  }
  assert {
    condition = alltrue([
      for configuration in aws_s3_bucket_lifecycle_configuration.layer : anytrue([
        for rule in configuration.rule :
        rule.status == "Enabled" && rule.filter[0].prefix == var.table_prefix &&
        rule.noncurrent_version_expiration[0].noncurrent_days == 30 &&
        rule.abort_incomplete_multipart_upload[0].days_after_initiation == 7
      ])
    ])
    error_message = "Old versions and unfinished uploads of tables go."
  }
}

run "raw_files_go_to_glacier_and_then_away" {
  assert {
    condition = anytrue([
      for rule in aws_s3_bucket_lifecycle_configuration.layer["bronze"].rule :
      rule.status == "Enabled" && rule.filter[0].prefix == "landing/" && try(rule.expiration[0].days == 365, false) &&
      alltrue([for transition in rule.transition : transition.days == 90 && transition.storage_class == "GLACIER"]) &&
      rule.abort_incomplete_multipart_upload[0].days_after_initiation == 7 &&
      length(rule.transition) == 1
    ])
    error_message = "Raw files go to Glacier after 90 days and away after 365."
  }
  assert {
    condition = alltrue([
      for layer in ["silver", "gold"] : length(aws_s3_bucket_lifecycle_configuration.layer[layer].rule) == 1
    ])
    error_message = "Layers without landing have no rule for it."
  }
  assert {
    condition     = output.layers.bronze.landing_uri == "s3://lake-bronze-111122223333-eu-central-1/landing/" && output.layers.silver.landing_uri == null
    error_message = "Only bronze has a place for raw files."
  }
}

run "lone_delete_markers_go_when_asked_and_nothing_else_with_them" {
  variables {
    remove_lone_delete_markers = true
  }
  assert {
    condition = alltrue(flatten([
      for configuration in aws_s3_bucket_lifecycle_configuration.layer : [
        for rule in configuration.rule :
        length(rule.transition) == 0 && rule.expiration[0].expired_object_delete_marker &&
        coalesce(rule.expiration[0].days, 0) == 0 && rule.expiration[0].date == null
        if rule.filter[0].prefix == var.table_prefix
      ]
    ]))
    error_message = "A rule on delete markers has no age."
  }
}

run "without_results_there_is_no_bucket_for_them" {
  variables {
    query_results = null
  }
  assert {
    condition     = !contains(keys(aws_s3_bucket.this), "results") && output.results == null
    error_message = "No results, no bucket."
  }
}
