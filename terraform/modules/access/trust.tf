# Who may take each role.

locals {
  # Services that say for which account they ask; others (EC2) would be locked out by the condition.
  services_with_account = toset(["ecs-tasks.amazonaws.com", "states.amazonaws.com", "scheduler.amazonaws.com", "glue.amazonaws.com"])

  session_tag = try(var.lake_formation.session_tag, null)

  trust_statements = {
    for role, who in var.trusted : role => concat(
      length(who.principals) == 0 ? [] : [{
        Sid       = "Principals"
        Principal = { AWS = who.principals }
        Action    = "sts:AssumeRole"
        Condition = who.external_id == null ? {} : { StringEquals = { "sts:ExternalId" = who.external_id } }
      }],
      length(who.principals) == 0 || local.session_tag == null ? [] : [{
        Sid       = "LakeFormationTag"
        Principal = { AWS = who.principals }
        Action    = "sts:TagSession"
        Condition = {
          StringEquals                = { "aws:RequestTag/LakeFormationAuthorizedCaller" = local.session_tag }
          "ForAllValues:StringEquals" = { "aws:TagKeys" = ["LakeFormationAuthorizedCaller"] }
        }
      }],
      [
        for service in who.services : {
          Sid       = replace(title(replace(split(".", service)[0], "-", " ")), " ", "")
          Principal = { Service = [service] }
          Action    = "sts:AssumeRole"
          Condition = contains(local.services_with_account, service) ? { StringEquals = { "aws:SourceAccount" = local.account } } : {}
        }
      ],
      who.web_identity == null ? [] : [{
        Sid       = "WebIdentity"
        Principal = { Federated = [try(who.web_identity.provider_arn, "")] }
        Action    = "sts:AssumeRoleWithWebIdentity"
        Condition = { StringEquals = try(who.web_identity.claims, {}) }
      }],
    )
  }

  trust_policies = {
    for role, statements in local.trust_statements : role => {
      Version = "2012-10-17"
      Statement = [
        for statement in statements : merge(
          { Sid = statement.Sid, Effect = "Allow", Principal = statement.Principal, Action = statement.Action },
          length(statement.Condition) == 0 ? {} : { Condition = statement.Condition },
        )
      ]
    }
  }
}
