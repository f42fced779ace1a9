# The least a lake in Glue needs: keys, buckets, databases, and the settings file that opens it.

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
  query_results = null
  force_destroy = var.force_destroy
}

module "catalog" {
  source = "../../modules/catalog"

  name              = var.name
  databases         = { for layer, place in module.warehouse.layers : layer => { location = place.tables_uri } }
  table_kms_key_arn = module.keys.data_key_arn
}
