data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
}

# There is one of these for the account and region.
resource "aws_lakeformation_data_lake_settings" "this" {
  catalog_id = local.account

  admins           = var.admins
  read_only_admins = var.read_only_admins

  # No create_*_default_permissions: with them every new database and table is open to all who have
  # IAM rights (IAMAllowedPrincipals), and no grant below would count.

  allow_external_data_filtering         = var.external_engines.filtering
  allow_full_table_external_data_access = var.external_engines.full_table_access
  authorized_session_tag_value_list     = var.external_engines.session_tags
  external_data_filtering_allow_list = (
    var.external_engines.filtering && length(var.external_engines.account_ids) == 0
    ? [local.account]
    : var.external_engines.account_ids
  )

  parameters = { CROSS_ACCOUNT_VERSION = tostring(var.cross_account_version) }
}
