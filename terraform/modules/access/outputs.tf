output "role_arns" {
  description = "ARNs of the roles that were made: engine, ingestion, maintenance, reader."
  value       = { for role, made in aws_iam_role.this : role => made.arn }

  # A role that is used before it has its rights fails in ways that look like something else.
  depends_on = [aws_iam_role_policy.this]
}

output "role_names" {
  description = "Names of the roles that were made."
  value       = { for role, made in aws_iam_role.this : role => made.name }
}

output "policies" {
  description = "The rights of the roles that were made, as JSON."
  value       = { for role, policy in aws_iam_role_policy.this : role => policy.policy }
}
