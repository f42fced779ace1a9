# The complete example against emulators of AWS. Names of accounts, clusters and subnets are made up;
# no emulator looks whether they exist.

trusted = {
  engine      = { principals = ["arn:aws:iam::000000000000:role/app"] }
  ingestion   = { services = ["ecs-tasks.amazonaws.com"] }
  maintenance = { services = ["ecs-tasks.amazonaws.com"] }
  reader      = { principals = ["arn:aws:iam::000000000000:role/analysts"] }
}

admins = ["arn:aws:iam::000000000000:role/deploy"]
emails = ["lake@example.org"]

features = {
  # No emulator knows data-cell filters: the tests of the module governance check them with a mocked provider.
  data_cell_filters = false
  # moto takes grants by LF-tags and then fails to list them: checked as above.
  tag_grants = false
  # ministack does not know it, and databases and setting are of one service: applied to moto by itself.
  glue_catalog_encryption = false
  # ministack takes the call for the making of a bucket.
  request_metrics = false
}

maintenance = {
  ecs = {
    cluster_arn         = "arn:aws:ecs:eu-central-1:000000000000:cluster/jobs"
    task_definition_arn = "arn:aws:ecs:eu-central-1:000000000000:task-definition/lake-maintenance"
    subnet_ids          = ["subnet-0123456789abcdef0"]
    passed_role_arns    = ["arn:aws:iam::000000000000:role/lakehouse/lake-maintenance"]
  }
}

audit_object_lock = { mode = "GOVERNANCE", days = 1 }
force_destroy     = true
