"""A daily copy of the table in a vault that nobody may empty, beside point-in-time recovery.

Recovery lives and dies with the table; a vault does not. Made only where an environment sets `backup_days`.
"""

import aws_cdk as cdk
from aws_cdk import aws_backup as backup
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.nag import acknowledge_policy_of_aws
from infra.storage import Storage, keep_the_name

VAULT = "BackupVault"  # the name within the stack


class Backups(Construct):
    def __init__(self, scope: Construct, name: str, storage: Storage, *, days: int) -> None:
        super().__init__(scope, name)
        vault = backup.BackupVault(
            self,
            "Vault",
            encryption_key=storage.key,
            block_recovery_point_deletion=True,  # what is too old goes by the plan alone
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        keep_the_name(vault.node.default_child, VAULT)
        plan = backup.BackupPlan(
            self,
            "Plan",
            backup_vault=vault,
            backup_plan_rules=[
                backup.BackupPlanRule(
                    rule_name="Daily",
                    schedule_expression=events.Schedule.cron(hour="3", minute="0"),
                    delete_after=cdk.Duration.days(days),
                )
            ],
        )
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("backup.amazonaws.com"))
        managed = "AWSBackupServiceRolePolicyForBackup"
        role.add_managed_policy(iam.ManagedPolicy.from_aws_managed_policy_name(f"service-role/{managed}"))
        acknowledge_policy_of_aws(role, managed, because="The policy that AWS writes for exactly this role.")
        plan.add_selection(
            "Orders",
            role=role,
            disable_default_backup_policy=True,
            resources=[backup.BackupResource.from_dynamo_db_table(storage.table)],
        )
