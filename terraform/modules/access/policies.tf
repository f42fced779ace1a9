# What each role may do, from actions.json: the calls the library makes, on this lake's resources only.

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
  glue      = "arn:${local.partition}:glue:${local.region}:${local.account}"

  actions = jsondecode(file("${path.module}/actions.json"))

  purposes = {
    engine      = "queries and jobs on all layers"
    ingestion   = "takes raw files into tables"
    maintenance = "compacts, expires, removes orphans"
    reader      = "reads tables"
  }

  layers_of = {
    engine      = keys(var.layers)
    ingestion   = tolist(var.ingestion_layers)
    maintenance = keys(var.layers)
    reader      = tolist(var.reader_layers)
  }

  # Readers whose files come with Lake Formation's credentials have no other way to them.
  reads_by_credentials = {
    for role in keys(local.purposes) : role => role == "reader" && try(var.lake_formation.readers_by_credentials, false)
  }

  resources = {
    for role, layers in local.layers_of : role => {
      databases = sort(flatten([for layer in layers : tolist(lookup(var.databases, layer, []))]))
      buckets   = [for layer in layers : var.layers[layer].arn]
      tables    = [for layer in layers : "${var.layers[layer].arn}/${var.layers[layer].table_prefix}*"]
      landing   = [for layer in layers : "${var.layers[layer].arn}/${var.layers[layer].landing_prefix}*" if var.layers[layer].landing_prefix != null]
    }
  }

  # A list of statements, of which those that name no action or no resource fall away.
  statements = {
    for role, actions in local.actions : role => concat(
      [
        {
          Sid    = "Catalog"
          Action = actions.catalog
          Resource = length(local.resources[role].databases) == 0 ? [] : concat(
            ["${local.glue}:catalog"],
            [for name in local.resources[role].databases : "${local.glue}:database/${name}"],
            [for name in local.resources[role].databases : "${local.glue}:table/${name}/*"],
          )
          Condition = {}
        },
        {
          Sid       = "Buckets"
          Action    = local.reads_by_credentials[role] ? [] : actions.bucket
          Resource  = local.resources[role].buckets
          Condition = {}
        },
      ],
      [
        for layer in local.layers_of[role] : {
          Sid      = "List${title(layer)}"
          Action   = actions.list
          Resource = [var.layers[layer].arn]
          Condition = {
            StringLike = {
              "s3:prefix" = [
                for prefix in compact([var.layers[layer].table_prefix, length(actions.landing) > 0 ? var.layers[layer].landing_prefix : null]) : "${prefix}*"
              ]
            }
          }
        }
      ],
      [
        {
          Sid       = "Tables"
          Action    = local.reads_by_credentials[role] ? [] : actions.tables
          Resource  = local.resources[role].tables
          Condition = {}
        },
        {
          Sid       = "Landing"
          Action    = actions.landing
          Resource  = local.resources[role].landing
          Condition = {}
        },
        {
          Sid       = "DataKey"
          Action    = local.reads_by_credentials[role] ? [] : actions.data_key
          Resource  = [var.data_key_arn]
          Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
        },
        {
          Sid       = "DataKeyState"
          Action    = local.reads_by_credentials[role] ? [] : ["kms:DescribeKey"]
          Resource  = [var.data_key_arn]
          Condition = {}
        },
        {
          Sid       = "CatalogKey"
          Action    = var.catalog_key_arn == null ? [] : actions.catalog_key
          Resource  = compact([var.catalog_key_arn])
          Condition = { StringEquals = { "kms:ViaService" = "glue.${local.region}.amazonaws.com" } }
        },
        {
          # Lake Formation knows no resource for this action; what it gives is decided by its grants.
          Sid       = "LakeFormationCredentials"
          Action    = var.lake_formation == null ? [] : ["lakeformation:GetDataAccess"]
          Resource  = ["*"]
          Condition = {}
        },
      ],
      role == "reader" && var.athena != null ? local.athena_statements : [],
    )
  }

  athena_statements = var.athena == null ? [] : [
    {
      Sid = "Workgroup"
      Action = [
        "athena:StartQueryExecution", "athena:StopQueryExecution", "athena:GetQueryExecution",
        "athena:GetQueryResults", "athena:GetWorkGroup",
      ]
      Resource  = [var.athena.workgroup_arn]
      Condition = {}
    },
    {
      Sid       = "ResultsBucket"
      Action    = ["s3:GetBucketLocation"]
      Resource  = [var.athena.results_bucket_arn]
      Condition = {}
    },
    {
      Sid       = "Results"
      Action    = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
      Resource  = ["${var.athena.results_bucket_arn}/${var.athena.results_prefix}*"]
      Condition = {}
    },
    {
      Sid       = "ResultsKey"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = [var.athena.results_key_arn]
      Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
    },
  ]

  policies = {
    for role, statements in local.statements : role => {
      Version = "2012-10-17"
      Statement = [
        for statement in statements : merge(
          { Sid = statement.Sid, Effect = "Allow", Action = statement.Action, Resource = statement.Resource },
          length(statement.Condition) == 0 ? {} : { Condition = statement.Condition },
        ) if length(statement.Action) > 0 && length(statement.Resource) > 0
      ]
    }
  }
}
