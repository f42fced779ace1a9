resource "aws_lakeformation_lf_tag" "this" {
  for_each = var.tags_of_tables

  catalog_id = local.account
  key        = each.key
  values     = each.value

  depends_on = [aws_lakeformation_data_lake_settings.this]
}

resource "aws_lakeformation_resource_lf_tags" "database" {
  for_each = var.database_tags

  catalog_id = local.account
  database {
    catalog_id = local.account
    name       = each.key
  }
  dynamic "lf_tag" {
    for_each = each.value
    content {
      catalog_id = local.account
      key        = aws_lakeformation_lf_tag.this[lf_tag.key].key
      value      = lf_tag.value
    }
  }
}

resource "aws_lakeformation_permissions" "tagged" {
  for_each = var.tag_grants

  catalog_id  = local.account
  principal   = each.value.principal
  permissions = each.value.permissions
  lf_tag_policy {
    catalog_id    = local.account
    resource_type = each.value.on
    dynamic "expression" {
      for_each = each.value.tags
      content {
        key    = aws_lakeformation_lf_tag.this[expression.key].key
        values = expression.value
      }
    }
  }
}
