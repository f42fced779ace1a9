resource "aws_lakeformation_permissions" "database" {
  for_each = var.database_grants

  catalog_id                    = local.account
  principal                     = each.value.principal
  permissions                   = each.value.permissions
  permissions_with_grant_option = each.value.grantable
  database {
    catalog_id = local.account
    name       = each.value.database
  }

  depends_on = [aws_lakeformation_data_lake_settings.this]
}

resource "aws_lakeformation_permissions" "table" {
  for_each = var.table_grants

  catalog_id                    = local.account
  principal                     = each.value.principal
  permissions                   = each.value.permissions
  permissions_with_grant_option = each.value.grantable

  dynamic "table" {
    for_each = each.value.columns == null && each.value.hidden_columns == null ? [each.value] : []
    content {
      catalog_id    = local.account
      database_name = table.value.database
      name          = table.value.table
      wildcard      = table.value.table == null ? true : null
    }
  }
  dynamic "table_with_columns" {
    for_each = each.value.columns == null && each.value.hidden_columns == null ? [] : [each.value]
    content {
      catalog_id            = local.account
      database_name         = table_with_columns.value.database
      name                  = table_with_columns.value.table
      column_names          = table_with_columns.value.columns
      wildcard              = table_with_columns.value.hidden_columns == null ? null : true
      excluded_column_names = table_with_columns.value.hidden_columns
    }
  }

  depends_on = [aws_lakeformation_data_lake_settings.this]
}

resource "aws_lakeformation_data_cells_filter" "this" {
  for_each = var.data_filters

  table_data {
    table_catalog_id = local.account
    database_name    = each.value.database
    table_name       = each.value.table
    name             = each.key
    column_names     = each.value.columns

    dynamic "column_wildcard" {
      for_each = each.value.columns == null ? [each.value.hidden_columns] : []
      content {
        excluded_column_names = column_wildcard.value
      }
    }
    row_filter {
      filter_expression = each.value.row_filter
      dynamic "all_rows_wildcard" {
        for_each = each.value.row_filter == null ? [true] : []
        content {}
      }
    }
  }

  depends_on = [aws_lakeformation_data_lake_settings.this]
}

locals {
  filter_grants = merge([
    for name, filter in var.data_filters : {
      for who, principal in filter.principals : "${name} ${who}" => { filter = name, principal = principal }
    }
  ]...)
}

resource "aws_lakeformation_permissions" "filter" {
  for_each = local.filter_grants

  catalog_id  = local.account
  principal   = each.value.principal
  permissions = ["SELECT"]
  data_cells_filter {
    table_catalog_id = local.account
    database_name    = var.data_filters[each.value.filter].database
    table_name       = var.data_filters[each.value.filter].table
    name             = each.value.filter
  }

  depends_on = [aws_lakeformation_data_cells_filter.this]
}
