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
  trusted = {
    engine      = { principals = ["arn:aws:iam::111122223333:role/app"], external_id = "7" }
    ingestion   = { services = ["ecs-tasks.amazonaws.com", "ec2.amazonaws.com"] }
    maintenance = { services = ["ecs-tasks.amazonaws.com"] }
    reader = {
      principals = ["arn:aws:iam::111122223333:role/analysts"]
      web_identity = {
        provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.example.org"
        claims       = { "oidc.example.org:sub" = "system:serviceaccount:lake:bi" }
      }
    }
  }
  layers = {
    bronze = { arn = "arn:aws:s3:::lake-bronze", table_prefix = "tables/", landing_prefix = "landing/" }
    silver = { arn = "arn:aws:s3:::lake-silver", table_prefix = "tables/" }
    gold   = { arn = "arn:aws:s3:::lake-gold", table_prefix = "tables/" }
  }
  databases = {
    bronze = ["bronze"]
    silver = ["silver"]
    gold   = ["gold", "marts"]
  }
  data_key_arn    = "arn:aws:kms:eu-central-1:111122223333:key/d"
  catalog_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/c"
}

run "no_role_has_a_wildcard_action_or_all_resources" {
  variables {
    lake_formation = { readers_by_credentials = false }
    athena = {
      workgroup_arn      = "arn:aws:athena:eu-central-1:111122223333:workgroup/lake"
      results_bucket_arn = "arn:aws:s3:::lake-results"
      results_prefix     = "athena/"
      results_key_arn    = "arn:aws:kms:eu-central-1:111122223333:key/d"
    }
  }
  assert {
    condition     = toset(keys(output.policies)) == toset(["engine", "ingestion", "maintenance", "reader"])
    error_message = "Each trusted role has a policy."
  }
  assert {
    condition = alltrue(flatten([
      for policy in output.policies : [
        for statement in jsondecode(policy).Statement : [for action in statement.Action : !strcontains(action, "*")]
      ]
    ]))
    error_message = "No action has a wildcard."
  }
  assert {
    condition = alltrue(flatten([
      for policy in output.policies : [
        for statement in jsondecode(policy).Statement : [
          for resource in statement.Resource :
          resource != "*" || statement.Action == ["lakeformation:GetDataAccess"]
        ]
      ]
    ]))
    error_message = "Every right names this lake's resources; GetDataAccess alone knows none."
  }
  # In S3 a star may follow a folder, in Glue a database, and nothing else.
  assert {
    condition = alltrue(flatten([
      for policy in output.policies : [
        for statement in jsondecode(policy).Statement : [
          for resource in statement.Resource :
          can(regex("^arn:aws:s3:::lake-[a-z]+/[a-z]+/\\*$", resource)) ||
          can(regex("^arn:aws:glue:eu-central-1:111122223333:table/[a-z]+/\\*$", resource))
          if strcontains(resource, "*") && resource != "*"
        ]
      ]
    ]))
    error_message = "No right on a whole bucket or on databases of others."
  }
  assert {
    condition = alltrue(flatten([
      for policy in output.policies : [
        for statement in jsondecode(policy).Statement : can(statement.Condition.StringEquals["kms:ViaService"]) || statement.Action == ["kms:DescribeKey"]
        if anytrue([for action in statement.Action : startswith(action, "kms:")])
      ]
    ]))
    error_message = "Keys are used through S3 and Glue only."
  }
  assert {
    condition = alltrue(flatten([
      for policy in output.policies : [
        for statement in jsondecode(policy).Statement : can(statement.Condition.StringLike["s3:prefix"])
        if contains(statement.Action, "s3:ListBucket")
      ]
    ]))
    error_message = "Listings are bound to the lake's prefixes."
  }
  assert {
    condition = alltrue(flatten([
      for policy in output.policies : [
        for statement in jsondecode(policy).Statement : [
          for action in statement.Action : !contains([
            "s3:DeleteObjectVersion", "s3:PutBucketVersioning", "s3:PutLifecycleConfiguration", "s3:PutBucketPolicy",
            "s3:BypassGovernanceRetention", "glue:DeleteDatabase", "glue:PutResourcePolicy", "kms:ScheduleKeyDeletion",
            "lakeformation:PutDataLakeSettings", "iam:PassRole",
          ], action)
        ]
      ]
    ]))
    error_message = "No role can take away what brings deleted data back, or widen its own rights."
  }
}

run "each_role_does_its_own_work_only" {
  assert {
    condition = !anytrue(flatten([
      for statement in jsondecode(output.policies.reader).Statement : [
        for action in statement.Action :
        can(regex(":(Put|Delete|Create|Update|Abort|Generate|Encrypt)", action)) || action == "s3:ListBucket"
      ]
    ]))
    error_message = "A reader changes nothing and lists nothing."
  }
  assert {
    condition     = !strcontains(output.policies.reader, "bronze") && strcontains(output.policies.reader, "lake-gold/tables/*")
    error_message = "A reader sees silver and gold."
  }
  assert {
    condition     = !strcontains(output.policies.ingestion, "silver") && !strcontains(output.policies.ingestion, "gold")
    error_message = "Ingestion sees bronze."
  }
  assert {
    condition = alltrue(flatten([
      for policy in output.policies : [
        for statement in jsondecode(policy).Statement : statement.Action == ["s3:GetObject"]
        if anytrue([for resource in statement.Resource : endswith(resource, "/landing/*")])
      ]
    ]))
    error_message = "Raw files are read and never changed by any role."
  }
  assert {
    condition     = !strcontains(output.policies.maintenance, "landing") && !strcontains(output.policies.maintenance, "glue:DeleteTable") && !strcontains(output.policies.maintenance, "glue:CreateTable")
    error_message = "Maintenance changes tables that are there and sees no raw files."
  }
  assert {
    condition     = !strcontains(output.policies.ingestion, "glue:DeleteTable")
    error_message = "Ingestion drops no table."
  }
  assert {
    condition     = strcontains(output.policies.engine, "glue:DeleteTable") && strcontains(output.policies.engine, ":table/marts/*")
    error_message = "The engine works on all databases."
  }
  assert {
    condition     = !strcontains(join("", values(output.policies)), "lakeformation:") && !strcontains(join("", values(output.policies)), "athena:")
    error_message = "No right on a service that is not used."
  }
}

run "those_named_may_take_a_role_and_nobody_else" {
  assert {
    condition = alltrue(flatten([
      for role in aws_iam_role.this : [
        for statement in jsondecode(role.assume_role_policy).Statement :
        statement.Principal != "*" && !strcontains(jsonencode(statement.Principal), "*")
      ]
    ]))
    error_message = "No role is open to everybody."
  }
  assert {
    condition = jsondecode(aws_iam_role.this["engine"].assume_role_policy).Statement[0] == {
      Sid       = "Principals"
      Effect    = "Allow"
      Principal = { AWS = ["arn:aws:iam::111122223333:role/app"] }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "sts:ExternalId" = "7" } }
    }
    error_message = "An external id is asked of principals."
  }
  assert {
    condition = [
      for statement in jsondecode(aws_iam_role.this["ingestion"].assume_role_policy).Statement : try(statement.Condition.StringEquals["aws:SourceAccount"], null)
    ] == ["111122223333", null]
    error_message = "Services that say for whom they ask may ask for this account only."
  }
  assert {
    condition     = jsondecode(aws_iam_role.this["reader"].assume_role_policy).Statement[1].Condition.StringEquals["oidc.example.org:sub"] == "system:serviceaccount:lake:bi"
    error_message = "A web identity is bound to its subject."
  }
}

run "with_lake_formation_readers_have_no_files_of_their_own" {
  variables {
    lake_formation = { session_tag = "lakehouse" }
  }
  assert {
    condition     = !strcontains(output.policies.reader, "s3:") && !strcontains(output.policies.reader, "key/d") && strcontains(output.policies.reader, "lakeformation:GetDataAccess")
    error_message = "Rights of their own would go around every filter."
  }
  assert {
    condition = [
      for statement in jsondecode(aws_iam_role.this["reader"].assume_role_policy).Statement : statement.Condition
      if statement.Action == "sts:TagSession"
      ] == [{
        StringEquals                = { "aws:RequestTag/LakeFormationAuthorizedCaller" = "lakehouse" }
        "ForAllValues:StringEquals" = { "aws:TagKeys" = ["LakeFormationAuthorizedCaller"] }
    }]
    error_message = "The one session tag is Lake Formation's, with the agreed value."
  }
}

run "a_role_nobody_is_named_for_is_not_made" {
  variables {
    trusted = { engine = { principals = ["arn:aws:iam::111122223333:role/app"] } }
  }
  assert {
    condition     = keys(aws_iam_role.this) == ["engine"] && keys(output.role_arns) == ["engine"]
    error_message = "One was named, one is made."
  }
}
