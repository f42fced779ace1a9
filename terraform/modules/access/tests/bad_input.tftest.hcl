mock_provider "aws" {}

variables {
  name         = "lake"
  trusted      = { engine = { principals = ["arn:aws:iam::111122223333:role/app"] } }
  layers       = { bronze = { arn = "arn:aws:s3:::b", table_prefix = "tables/" }, silver = { arn = "arn:aws:s3:::s", table_prefix = "tables/" }, gold = { arn = "arn:aws:s3:::g", table_prefix = "tables/" } }
  databases    = { bronze = ["bronze"] }
  data_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/d"
}

run "everybody_is_no_principal" {
  command = plan
  variables {
    trusted = { engine = { principals = ["*"] } }
  }
  expect_failures = [var.trusted]
}

run "a_principal_with_a_wildcard_is_refused" {
  command = plan
  variables {
    trusted = { engine = { principals = ["arn:aws:iam::111122223333:role/*"] } }
  }
  expect_failures = [var.trusted]
}

run "an_unknown_role_is_refused" {
  command = plan
  variables {
    trusted = { admin = { principals = ["arn:aws:iam::111122223333:role/app"] } }
  }
  expect_failures = [var.trusted]
}

run "a_role_for_nobody_is_refused" {
  command = plan
  variables {
    trusted = { reader = {} }
  }
  expect_failures = [var.trusted]
}

run "a_web_identity_without_subject_is_refused" {
  command = plan
  variables {
    trusted = { reader = { web_identity = { provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.example.org", claims = { "oidc.example.org:aud" = "sts.amazonaws.com" } } } }
  }
  expect_failures = [var.trusted]
}

run "a_whole_bucket_is_no_table_prefix" {
  command = plan
  variables {
    layers           = { bronze = { arn = "arn:aws:s3:::b", table_prefix = "" } }
    ingestion_layers = []
    reader_layers    = []
  }
  expect_failures = [var.layers]
}

run "a_database_of_no_layer_is_refused" {
  command = plan
  variables {
    databases = { platinum = ["platinum"] }
  }
  expect_failures = [var.databases]
}

run "a_wildcard_is_no_database" {
  command = plan
  variables {
    databases = { bronze = ["*"] }
  }
  expect_failures = [var.databases]
}

run "readers_of_an_unknown_layer_are_refused" {
  command = plan
  variables {
    reader_layers = ["diamond"]
  }
  expect_failures = [var.reader_layers]
}

run "a_session_tag_with_a_wildcard_is_refused" {
  command = plan
  variables {
    lake_formation = { session_tag = "engine*" }
  }
  expect_failures = [var.lake_formation]
}

run "sessions_of_a_minute_are_refused" {
  command = plan
  variables {
    max_session_seconds = 60
  }
  expect_failures = [var.max_session_seconds]
}
