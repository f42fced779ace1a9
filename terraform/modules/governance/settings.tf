data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id

  filtering_accounts = (
    var.external_engines.filtering && length(var.external_engines.account_ids) == 0
    ? [local.account]
    : tolist(var.external_engines.account_ids)
  )
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
  external_data_filtering_allow_list    = local.filtering_accounts

  parameters = { CROSS_ACCOUNT_VERSION = tostring(var.cross_account_version) }

  # What somebody else has set since is silently kept by the provider where nothing is said here.
  lifecycle {
    postcondition {
      condition     = length(self.create_database_default_permissions) + length(self.create_table_default_permissions) == 0
      error_message = "Somebody has opened new databases and tables to all who have IAM rights (IAMAllowedPrincipals). Take the settings out of the state (terraform state rm) and apply again: that writes them whole."
    }
  }
}
