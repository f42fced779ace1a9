# Writers are granted what they write by name; readers what is tagged public.

locals {
  # Grants to the roles that were made.
  writers = {
    engine    = keys(local.descriptions)
    ingestion = ["bronze"]
  }
  written = merge([
    for role, layers in local.writers : {
      for layer in layers : "${role}-${layer}" => { role = role, layer = layer }
    } if contains(keys(var.trusted), role)
  ]...)

  maintained = contains(keys(var.trusted), "maintenance") ? keys(local.descriptions) : []
  read       = contains(keys(var.trusted), "reader")
}

module "governance" {
  source = "../../modules/governance"
  count  = var.features.lake_formation ? 1 : 0

  name         = var.name
  admins       = var.admins
  data_key_arn = module.keys.data_key_arn

  external_engines = { filtering = true, session_tags = [local.session_tag] }

  locations = {
    for layer in keys(local.descriptions) : layer => {
      bucket_arn = module.warehouse.layers[layer].arn
      prefix     = module.warehouse.layers[layer].table_prefix
    }
  }

  tags_of_tables = { sensitivity = ["public", "personal"] }
  database_tags = {
    (module.catalog.databases["bronze"].name) = { sensitivity = "personal" }
    (module.catalog.databases["silver"].name) = { sensitivity = "personal" }
    (module.catalog.databases["gold"].name)   = { sensitivity = "public" }
  }

  database_grants = merge(
    {
      for name, written in local.written : name => {
        principal   = module.access.role_arns[written.role]
        database    = module.catalog.databases[written.layer].name
        permissions = ["DESCRIBE", "CREATE_TABLE"]
      }
    },
    {
      for layer in local.maintained : "maintenance-${layer}" => {
        principal   = module.access.role_arns["maintenance"]
        database    = module.catalog.databases[layer].name
        permissions = ["DESCRIBE"]
      }
    },
  )

  table_grants = merge(
    {
      for name, written in local.written : name => {
        principal   = module.access.role_arns[written.role]
        database    = module.catalog.databases[written.layer].name
        permissions = written.role == "engine" ? ["SELECT", "INSERT", "DELETE", "DESCRIBE", "ALTER", "DROP"] : ["SELECT", "INSERT", "DELETE", "DESCRIBE", "ALTER"]
      }
    },
    {
      for layer in local.maintained : "maintenance-${layer}" => {
        principal   = module.access.role_arns["maintenance"]
        database    = module.catalog.databases[layer].name
        permissions = ["SELECT", "INSERT", "DELETE", "DESCRIBE", "ALTER"]
      }
    },
  )

  tag_grants = local.read && var.features.tag_grants ? {
    reader-databases = {
      principal   = module.access.role_arns["reader"]
      on          = "DATABASE"
      tags        = { sensitivity = ["public"] }
      permissions = ["DESCRIBE"]
    }
    reader-tables = {
      principal   = module.access.role_arns["reader"]
      on          = "TABLE"
      tags        = { sensitivity = ["public"] }
      permissions = ["SELECT", "DESCRIBE"]
    }
  } : {}

  location_grants = {
    for name, written in local.written : name => {
      principal = module.access.role_arns[written.role]
      location  = written.layer
    }
  }

  # Filters name tables, which must exist: add them once the lake has made its tables.
  data_filters = var.features.data_cell_filters ? {
    for name, filter in var.data_filters : name => merge(filter, {
      principals = { for role in filter.roles : role => module.access.role_arns[role] }
    })
  } : {}
}
