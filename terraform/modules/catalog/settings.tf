# The settings file of the library, once as JSON and once as TOML: the same keys and values, and no
# secret among them. Credentials come from where AWS's tools look for them.

locals {
  warehouse = coalesce(var.warehouse, values(var.databases)[0].location)

  catalog_settings = merge(
    {
      type      = "glue"
      region    = data.aws_region.current.name
      warehouse = local.warehouse
    },
    var.table_kms_key_arn == null ? {} : { kms_key = var.table_kms_key_arn },
  )

  settings = {
    default_catalog = var.sql_name
    catalogs        = { (var.sql_name) = local.catalog_settings }
  }

  # Strings of TOML are written as those of JSON.
  settings_toml = join("\n", concat(
    ["default_catalog = ${jsonencode(var.sql_name)}", "", "[catalogs.${var.sql_name}]"],
    [for key, value in local.catalog_settings : "${key} = ${jsonencode(value)}"],
    [""],
  ))
}
