# Lake Formation reads the buckets with a role of its own; the service-linked role knows nothing of
# the key that encrypts them.

locals {
  location_arns = {
    for name, location in var.locations : name => "${location.bucket_arn}/${trimsuffix(location.prefix, "/")}"
  }

  role_policy = {
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Files"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        Resource = sort([for arn in values(local.location_arns) : "${arn}/*"])
      },
      {
        Sid       = "Listings"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = sort(distinct([for location in values(var.locations) : location.bucket_arn]))
        Condition = { StringLike = { "s3:prefix" = sort(distinct([for location in values(var.locations) : "${location.prefix}*"])) } }
      },
      {
        Sid       = "Key"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = [var.data_key_arn]
        Condition = { StringEquals = { "kms:ViaService" = "s3.${data.aws_region.current.name}.amazonaws.com" } }
      },
    ]
  }
}

resource "aws_iam_role" "lake_formation" {
  count = length(var.locations) == 0 ? 0 : 1

  name                 = "${var.name}-lake-formation"
  path                 = var.path
  description          = "${var.name}: how Lake Formation reaches the files it gives credentials for"
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "LakeFormation"
      Effect    = "Allow"
      Principal = { Service = "lakeformation.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:SetContext"]
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "lake_formation" {
  count = length(var.locations) == 0 ? 0 : 1

  name   = "locations"
  role   = aws_iam_role.lake_formation[0].id
  policy = jsonencode(local.role_policy)
}

resource "aws_lakeformation_resource" "this" {
  for_each = local.location_arns

  arn                   = each.value
  role_arn              = aws_iam_role.lake_formation[0].arn
  hybrid_access_enabled = var.locations[each.key].hybrid

  depends_on = [aws_iam_role_policy.lake_formation, aws_lakeformation_data_lake_settings.this]
}

resource "aws_lakeformation_permissions" "location" {
  for_each = var.location_grants

  catalog_id  = local.account
  principal   = each.value.principal
  permissions = ["DATA_LOCATION_ACCESS"]
  data_location {
    catalog_id = local.account
    arn        = aws_lakeformation_resource.this[each.value.location].arn
  }
}
