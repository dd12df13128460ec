import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('streaming', '0004_conversations'),
    ]

    operations = [
        migrations.CreateModel(
            name='StreamRecord',
            fields=[
                ('pk', models.CompositePrimaryKey('stream_id', 'first_event_id', 'part', blank=True, editable=False, primary_key=True, serialize=False)),
                ('first_event_id', models.BigIntegerField()),
                ('part', models.PositiveSmallIntegerField()),
                ('data', models.BinaryField()),
                ('stream', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='records', to='streaming.stream')),
            ],
        ),
        migrations.AddField(
            model_name='stream',
            name='sealed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name='stream',
            index=models.Index(condition=models.Q(('finished_at__isnull', False), ('pruned_at__isnull', True), ('sealed_at__isnull', True)), fields=['sealed_at', 'finished_at'], name='stream_to_seal'),
        ),
        migrations.AddIndex(
            model_name='stream',
            index=models.Index(condition=models.Q(('finished_at__isnull', False), ('pruned_at__isnull', True)), fields=['finished_at', 'id'], name='stream_to_prune'),
        ),
    ]
