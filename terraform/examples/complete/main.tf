# A whole lake: three layers, roles for each kind of work, Lake Formation, Athena beside the library, an
# audit trail, alarms, a budget, and maintenance by schedule.

provider "aws" {
  region = var.region

  default_tags {
    tags = { lake = var.name }
  }
}

module "keys" {
  source = "../../modules/keys"

  name = var.name
}

module "warehouse" {
  source = "../../modules/warehouse"

  name          = var.name
  kms_key_arn   = module.keys.data_key_arn
  query_results = var.features.athena ? {} : null
  force_destroy = var.force_destroy
}

module "catalog" {
  source = "../../modules/catalog"

  name              = var.name
  databases         = { for layer, place in module.warehouse.layers : layer => { location = place.tables_uri, description = local.descriptions[layer] } }
  encryption        = var.features.glue_catalog_encryption ? { kms_key_arn = module.keys.catalog_key_arn } : null
  table_kms_key_arn = module.keys.data_key_arn

  athena = var.features.athena ? {
    results_location = "${module.warehouse.results.uri}athena/"
    kms_key_arn      = module.keys.data_key_arn
    force_destroy    = var.force_destroy
  } : null

  # Databases that are made before Lake Formation's settings hold are open to all.
  # By index, because the databases are granted in the same module.
  after = var.features.lake_formation ? module.governance[0].settings_applied : null
}

module "access" {
  source = "../../modules/access"

  name            = var.name
  trusted         = var.trusted
  layers          = module.warehouse.layers
  databases       = { for layer in keys(local.descriptions) : layer => [module.catalog.databases[layer].name] }
  data_key_arn    = module.keys.data_key_arn
  catalog_key_arn = var.features.glue_catalog_encryption ? module.keys.catalog_key_arn : null

  lake_formation = var.features.lake_formation ? { session_tag = local.session_tag } : null

  athena = var.features.athena ? {
    workgroup_arn      = module.catalog.athena_workgroup.arn
    results_bucket_arn = module.warehouse.results.arn
    results_prefix     = "athena/"
    results_key_arn    = module.keys.data_key_arn
  } : null
}

module "observability" {
  source = "../../modules/observability"

  name               = var.name
  audit_key_arn      = module.keys.audit_key_arn
  buckets            = module.warehouse.layers
  object_lock        = var.audit_object_lock
  emails             = var.emails
  alarms             = var.features.alarms
  request_metrics    = var.features.request_metrics
  monthly_budget_usd = var.features.budget ? var.monthly_budget_usd : null
  maintenance        = var.maintenance
  force_destroy      = var.force_destroy
}

locals {
  descriptions = {
    bronze = "As it came"
    silver = "Cleaned and joined; may name people"
    gold   = "For everybody"
  }
  session_tag = "lakehouse"
}
