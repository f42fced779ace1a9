# Data-cell filters are tested here only: no emulator of AWS knows them, so nothing applies them.

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
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/lakehouse/lake-lake-formation" }
  }
}

variables {
  name         = "lake"
  admins       = ["arn:aws:iam::111122223333:role/deploy"]
  data_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/d"
  locations = {
    silver = { bucket_arn = "arn:aws:s3:::lake-silver", prefix = "tables/" }
    gold   = { bucket_arn = "arn:aws:s3:::lake-gold", prefix = "tables/", hybrid = true }
  }
  tags_of_tables = {
    sensitivity = ["public", "personal"]
    domain      = ["sales"]
  }
}

run "outside_engines_get_nothing_unless_asked" {
  assert {
    condition = (
      aws_lakeformation_data_lake_settings.this.allow_external_data_filtering == false &&
      aws_lakeformation_data_lake_settings.this.allow_full_table_external_data_access == false &&
      length(aws_lakeformation_data_lake_settings.this.external_data_filtering_allow_list) == 0 &&
      length(aws_lakeformation_data_lake_settings.this.authorized_session_tag_value_list) == 0
    )
    error_message = "All four switches are off by default."
  }
  assert {
    condition = (
      length(aws_lakeformation_data_lake_settings.this.create_database_default_permissions) == 0 &&
      length(aws_lakeformation_data_lake_settings.this.create_table_default_permissions) == 0
    )
    error_message = "New databases and tables are not open to all who have IAM rights."
  }
  assert {
    condition     = aws_lakeformation_data_lake_settings.this.admins == toset(["arn:aws:iam::111122223333:role/deploy"])
    error_message = "The admins are those named."
  }
}

run "outside_engines_that_filter_are_named" {
  variables {
    external_engines = { filtering = true, session_tags = ["lakehouse"] }
  }
  assert {
    condition = (
      aws_lakeformation_data_lake_settings.this.allow_external_data_filtering &&
      aws_lakeformation_data_lake_settings.this.external_data_filtering_allow_list == toset(["111122223333"]) &&
      aws_lakeformation_data_lake_settings.this.authorized_session_tag_value_list == tolist(["lakehouse"]) &&
      !aws_lakeformation_data_lake_settings.this.allow_full_table_external_data_access
    )
    error_message = "Filtering is open to this account's callers with the tag, and to them only."
  }
}

run "locations_are_read_with_a_role_bound_to_them" {
  assert {
    condition     = { for name, location in aws_lakeformation_resource.this : name => location.arn } == { silver = "arn:aws:s3:::lake-silver/tables", gold = "arn:aws:s3:::lake-gold/tables" }
    error_message = "Tables are registered, raw files are not."
  }
  assert {
    condition     = !aws_lakeformation_resource.this["silver"].hybrid_access_enabled && aws_lakeformation_resource.this["gold"].hybrid_access_enabled
    error_message = "Hybrid access is for those who ask."
  }
  assert {
    condition = alltrue(flatten([
      for statement in jsondecode(aws_iam_role_policy.lake_formation[0].policy).Statement : concat(
        [for action in statement.Action : !strcontains(action, "*")],
        [for resource in statement.Resource : contains(["arn:aws:s3:::lake-gold/tables/*", "arn:aws:s3:::lake-silver/tables/*", "arn:aws:s3:::lake-gold", "arn:aws:s3:::lake-silver", var.data_key_arn], resource)],
      )
    ]))
    error_message = "The role reaches the locations and their key, nothing else."
  }
  assert {
    condition     = jsondecode(aws_iam_role.lake_formation[0].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "111122223333"
    error_message = "Lake Formation may take the role for this account only."
  }
}

run "without_locations_there_is_no_role" {
  variables {
    locations = {}
  }
  assert {
    condition     = length(aws_iam_role.lake_formation) == 0 && output.role_arn == null
    error_message = "A role without use is a risk."
  }
}

run "permissions_are_granted_as_written" {
  variables {
    database_tags = { silver = { domain = "sales" } }
    database_grants = {
      engine = { principal = "arn:aws:iam::111122223333:role/engine", database = "silver", permissions = ["DESCRIBE", "CREATE_TABLE"] }
    }
    table_grants = {
      engine    = { principal = "arn:aws:iam::111122223333:role/engine", database = "silver", permissions = ["SELECT", "INSERT", "DELETE"] }
      analysts  = { principal = "arn:aws:iam::111122223333:role/analysts", database = "silver", table = "events", permissions = ["SELECT"], columns = ["id", "at"] }
      marketing = { principal = "arn:aws:iam::111122223333:role/marketing", database = "silver", table = "events", permissions = ["SELECT"], hidden_columns = ["ssn"] }
    }
    tag_grants = {
      public = { principal = "arn:aws:iam::111122223333:role/analysts", on = "TABLE", tags = { sensitivity = ["public"] }, permissions = ["SELECT"] }
    }
    location_grants = {
      engine = { principal = "arn:aws:iam::111122223333:role/engine", location = "silver" }
    }
  }
  assert {
    condition     = aws_lakeformation_permissions.table["engine"].table[0].wildcard && aws_lakeformation_permissions.table["engine"].permissions == toset(["SELECT", "INSERT", "DELETE"])
    error_message = "Without a table, all of the database."
  }
  assert {
    condition     = aws_lakeformation_permissions.table["analysts"].table_with_columns[0].column_names == toset(["id", "at"]) && length(aws_lakeformation_permissions.table["analysts"].table) == 0
    error_message = "Listed columns and no others."
  }
  assert {
    condition     = aws_lakeformation_permissions.table["marketing"].table_with_columns[0].wildcard && aws_lakeformation_permissions.table["marketing"].table_with_columns[0].excluded_column_names == toset(["ssn"])
    error_message = "All columns but the hidden ones."
  }
  assert {
    condition     = aws_lakeformation_permissions.tagged["public"].lf_tag_policy[0].resource_type == "TABLE" && one(aws_lakeformation_permissions.tagged["public"].lf_tag_policy[0].expression).key == "sensitivity"
    error_message = "Grants by tag name the tag."
  }
  assert {
    condition     = aws_lakeformation_permissions.location["engine"].permissions == toset(["DATA_LOCATION_ACCESS"]) && aws_lakeformation_permissions.location["engine"].data_location[0].arn == "arn:aws:s3:::lake-silver/tables"
    error_message = "Making tables in a location is granted on it."
  }
  assert {
    condition     = one(aws_lakeformation_resource_lf_tags.database["silver"].lf_tag).value == "sales"
    error_message = "Databases carry their tags."
  }
}

run "filters_are_made_and_granted_together" {
  variables {
    data_filters = {
      eu_only = {
        database       = "silver", table = "events"
        row_filter     = "region IN ('eu', 'uk') AND (amount < 1000 OR kind = 'a(b)')"
        hidden_columns = ["ssn"]
        principals     = { analysts = "arn:aws:iam::111122223333:role/analysts", marketing = "arn:aws:iam::111122223333:role/marketing" }
      }
      no_names = {
        database   = "silver", table = "events"
        columns    = ["id", "at"]
        principals = { interns = "arn:aws:iam::111122223333:role/interns" }
      }
    }
  }
  assert {
    condition = (
      aws_lakeformation_data_cells_filter.this["eu_only"].table_data[0].row_filter[0].filter_expression == "region IN ('eu', 'uk') AND (amount < 1000 OR kind = 'a(b)')" &&
      aws_lakeformation_data_cells_filter.this["eu_only"].table_data[0].column_wildcard[0].excluded_column_names == tolist(["ssn"]) &&
      length(aws_lakeformation_data_cells_filter.this["eu_only"].table_data[0].row_filter[0].all_rows_wildcard) == 0
    )
    error_message = "Rows by the filter, all columns but the hidden ones."
  }
  assert {
    condition = (
      length(aws_lakeformation_data_cells_filter.this["no_names"].table_data[0].row_filter[0].all_rows_wildcard) == 1 &&
      aws_lakeformation_data_cells_filter.this["no_names"].table_data[0].column_names == toset(["id", "at"]) &&
      length(aws_lakeformation_data_cells_filter.this["no_names"].table_data[0].column_wildcard) == 0
    )
    error_message = "All rows, listed columns."
  }
  assert {
    condition = toset([for grant in aws_lakeformation_permissions.filter : "${grant.data_cells_filter[0].name} ${grant.principal}"]) == toset([
      "eu_only arn:aws:iam::111122223333:role/analysts",
      "eu_only arn:aws:iam::111122223333:role/marketing",
      "no_names arn:aws:iam::111122223333:role/interns",
    ])
    error_message = "Each principal is granted its filter."
  }
  assert {
    condition     = alltrue([for grant in aws_lakeformation_permissions.filter : grant.permissions == toset(["SELECT"])])
    error_message = "A filter is read, nothing else."
  }
}
