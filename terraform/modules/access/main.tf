data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

resource "aws_iam_role" "this" {
  for_each = var.trusted

  name                 = "${var.name}-${each.key}"
  path                 = var.path
  description          = "${var.name}: ${local.purposes[each.key]}"
  assume_role_policy   = jsonencode(local.trust_policies[each.key])
  max_session_duration = var.max_session_seconds
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

# Inline: the rights are of this role alone and go with it.
resource "aws_iam_role_policy" "this" {
  for_each = aws_iam_role.this

  name   = "lake"
  role   = each.value.id
  policy = jsonencode(local.policies[each.key])
}
